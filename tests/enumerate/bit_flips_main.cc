// millrace-bit-flips: damages a small data directory in every way there is (damage.h) and tells
// what came of it, by kind of file.
#include "storage/base/diag.h"
#include "tests/enumerate/damage.h"
#include "tests/enumerate/report.h"
#include "tests/enumerate/workers.h"
#include "tests/support/temp_dir.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

using namespace millrace;
using namespace millrace::test;

namespace {

struct Options {
  std::string directory = "both";
  std::uint64_t sample = 0;
  unsigned jobs = 2;
  std::vector<std::string> replay;
  bool json = false;
  std::string ledger;
};

constexpr const char* set_names[] = {"closed", "killed", "identity"};
constexpr std::size_t sets = 3, kinds_of_mutation = 4;

// Counters of a Worker.
std::size_t outcome_at(std::size_t set, FileKind kind, DamageOutcome outcome) {
  return (set * file_kinds + static_cast<std::size_t>(kind)) * damage_outcomes +
         static_cast<std::size_t>(outcome);
}
constexpr std::size_t mutations_at = 512;

class Run {
 public:
  explicit Run(const Options& options) : options_(options) {
    if (wants("closed")) {
      closed_.emplace(DamagedDirectory::Stop::closed);
      add(0, closed_->mutations().size());
    }
    if (wants("killed")) {
      killed_.emplace(DamagedDirectory::Stop::killed);
      add(1, killed_->mutations().size());
    }
    add(2, DamagedIdentity(identity_.path() + "/0").mutations());
  }

  int replay() {
    if (options_.replay.size() != 2)
      throw std::invalid_argument("--replay takes DIRECTORY NUMBER, for example closed 4711");
    for (std::size_t set = 0; set < sets; ++set) {
      if (options_.replay[0] != set_names[set]) continue;
      const auto number = std::stoull(options_.replay[1]);
      const DamageResult result = run_one({set, number});
      fmt::print("{}: {} {}\n", describe({set, number}), outcome_name(result.outcome), result.told);
      return result.outcome >= DamageOutcome::wrong_bytes ? 1 : 0;
    }
    throw std::invalid_argument(options_.replay[0] + " is neither closed, killed nor identity");
  }

  int run() {
    const std::uint64_t total = items_.size();
    const std::vector<Item> items = sampled();
    const WorkDone done =
        share_work(options_.jobs, items.size(), [&](Worker& worker, std::uint64_t i) {
          const Item item = items[i];
          worker.at_work(fmt::format("{} {}", set_names[item.set], item.number));
          const DamageResult result = run_one(item);
          worker.count(outcome_at(item.set, kind_of(item), result.outcome));
          worker.count(mutations_at + kind_of_mutation(item));
          if (result.outcome >= DamageOutcome::wrong_bytes)
            throw Broken(fmt::format("{}: {}: {}", describe(item), outcome_name(result.outcome),
                                     result.told));
        });
    return report(done, items.size(), total);
  }

 private:
  struct Item {
    std::size_t set;
    std::uint64_t number;
  };

  // All that are few, and of bits and cuts as many as are left, evenly.
  std::vector<Item> sampled() const {
    if (options_.sample == 0 || options_.sample >= items_.size()) return items_;
    std::vector<Item> few, many;
    for (const auto& item : items_) (kind_of_mutation(item) >= 2 ? few : many).push_back(item);
    const std::uint64_t count = options_.sample - std::min(options_.sample, few.size());
    for (std::uint64_t i = 0; i < count; ++i) few.push_back(many[i * many.size() / count]);
    return few;
  }

  bool wants(const std::string& name) const {
    return !options_.replay.empty() || options_.directory == "both" || options_.directory == name;
  }
  void add(std::size_t set, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) items_.push_back({set, i});
  }
  const DamagedDirectory& directory(const Item& item) const {
    return item.set == 0 ? *closed_ : *killed_;
  }
  const Mutation& mutation(const Item& item) const {
    return directory(item).mutations().at(item.number);
  }
  // Each process damages files of its own.
  DamagedIdentity& identity() {
    if (!mine_) mine_.emplace(identity_.path() + "/" + std::to_string(::getpid()));
    return *mine_;
  }
  DamageResult run_one(const Item& item) {
    return item.set == 2 ? identity().run(item.number) : directory(item).run(mutation(item));
  }
  FileKind kind_of(const Item& item) const {
    return item.set == 2 ? FileKind::identity : directory(item).kind_of(mutation(item));
  }
  std::string describe(const Item& item) {
    return item.set == 2 ? identity().to_string(item.number)
                         : directory(item).to_string(mutation(item));
  }
  std::size_t kind_of_mutation(const Item& item) const {
    if (item.set != 2) return static_cast<std::size_t>(mutation(item).kind);
    const std::size_t bytes = identity_layout_bytes;
    return item.number < bytes * 8 ? 0 : item.number < bytes * 9 ? 1 : 2;
  }

  int report(const WorkDone& done, std::uint64_t count, std::uint64_t total) {
    nlohmann::ordered_json table, kinds;
    for (std::size_t set = 0; set < sets; ++set) {
      for (std::size_t kind = 0; kind < file_kinds; ++kind) {
        nlohmann::ordered_json row;
        std::uint64_t sum = 0;
        for (std::size_t o = 0; o < damage_outcomes; ++o) {
          const auto outcome = static_cast<DamageOutcome>(o);
          const auto value = done.counters[outcome_at(set, static_cast<FileKind>(kind), outcome)];
          row[std::string(outcome_name(outcome))] = value;
          sum += value;
        }
        if (sum != 0)
          table[set_names[set]][std::string(file_kind_name(static_cast<FileKind>(kind)))] = row;
      }
    }
    static constexpr const char* kind_names[kinds_of_mutation] = {"bits turned over", "cuts",
                                                                  "zeroed blocks", "swaps"};
    for (std::size_t k = 0; k < kinds_of_mutation; ++k)
      kinds[kind_names[k]] = done.counters[mutations_at + k];
    const nlohmann::ordered_json line{{"program", "millrace-bit-flips"},
                                      {"commit", source_commit()},
                                      {"directory", options_.directory},
                                      {"mutations", count},
                                      {"of", total},
                                      {"failures", done.failure.empty() ? 0 : 1},
                                      {"by_kind", kinds},
                                      {"outcomes", table}};
    options_.json ? fmt::print("{}\n", line.dump(2)) : print(line);
    if (!done.failure.empty()) {
      fmt::print(stderr, "{}\ncommit {}; repeat it with\n  millrace-bit-flips --replay {}\n",
                 done.failure, source_commit(), done.at);
      return 1;
    }
    if (!options_.ledger.empty()) append_to_ledger(options_.ledger, line);
    return 0;
  }

  static void print(const nlohmann::ordered_json& line) {
    fmt::print("{:<9}{:<16}", "", "");
    for (std::size_t o = 0; o < damage_outcomes; ++o)
      fmt::print("{:>17}", outcome_name(static_cast<DamageOutcome>(o)));
    fmt::print("\n");
    for (const auto& [set, rows] : line["outcomes"].items()) {
      for (const auto& [kind, row] : rows.items()) {
        fmt::print("{:<9}{:<16}", set, kind);
        for (const auto& [name, value] : row.items())
          fmt::print("{:>17}", value.template get<std::uint64_t>());
        fmt::print("\n");
      }
    }
    for (const auto& [name, value] : line["by_kind"].items())
      fmt::print("{:<24}{:>9}\n", name, value.template get<std::uint64_t>());
    fmt::print("{} of {} mutations\n", line["mutations"].get<std::uint64_t>(),
               line["of"].get<std::uint64_t>());
  }

  static constexpr std::size_t identity_layout_bytes = 4096;

  const Options options_;
  std::optional<DamagedDirectory> closed_, killed_;
  TempDir identity_;
  std::optional<DamagedIdentity> mine_;
  std::vector<Item> items_;
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Damages a small data directory in every way and tells what came of it"};
  app.add_option("--directory", options.directory, "closed, killed or both; the identity always")
      ->check(CLI::IsMember({"closed", "killed", "both"}))
      ->capture_default_str();
  app.add_option("--sample", options.sample,
                 "so many mutations: every zeroed block and swap, the rest evenly; 0: all")
      ->capture_default_str();
  app.add_option("--jobs", options.jobs, "child processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--replay", options.replay, "DIRECTORY NUMBER")->expected(-1);
  app.add_option("--ledger", options.ledger, "append one line of JSON to this file");
  app.add_flag("--json", options.json, "print the result as JSON");
  CLI11_PARSE(app, argc, argv);
  try {
    diag::configure(diag::Level::off, diag::Style::text);
    diag::shutdown();
    Run run(options);
    return options.replay.empty() ? run.run() : run.replay();
  } catch (const std::exception& error) {
    fmt::print(stderr, "millrace-bit-flips: {}\n", error.what());
    return 1;
  }
}
