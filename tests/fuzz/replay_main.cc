// All units without libFuzzer: every file of a corpus once, then changed copies of them.
//
//   fuzz_replay --corpus DIR [--mutations N] [--seed S] [UNIT...]   DIR/UNIT/* is the corpus
//   fuzz_replay --file FILE UNIT                                    one input, as a crash leaves it
//   fuzz_replay --write-seeds DIR [UNIT...]                         what the corpora begin with
//   fuzz_replay --list
#include "storage/base/diag.h"
#include "tests/fuzz/fuzz.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>

namespace {

namespace fs = std::filesystem;
using namespace millrace;
using namespace millrace::fuzz;

constexpr std::size_t input_bytes_max = 64 * 1024;

struct Arguments {
  std::string corpus, file, seeds_to;
  std::uint64_t mutations = 0;
  std::optional<std::uint64_t> seed;
  bool list = false;
  std::vector<std::string> names;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&] {
      if (i + 1 == argc) throw std::runtime_error(word + " needs a value");
      return std::string(argv[++i]);
    };
    if (word == "--corpus") {
      out.corpus = value();
    } else if (word == "--file") {
      out.file = value();
    } else if (word == "--write-seeds") {
      out.seeds_to = value();
    } else if (word == "--mutations") {
      out.mutations = std::stoull(value());
    } else if (word == "--seed") {
      out.seed = std::stoull(value());
    } else if (word == "--list") {
      out.list = true;
    } else if (word.starts_with("-")) {
      throw std::runtime_error("unknown argument " + word);
    } else {
      out.names.push_back(word);
    }
  }
  return out;
}

std::vector<Unit> chosen(const std::vector<std::string>& names) {
  if (names.empty()) return units();
  std::vector<Unit> out;
  for (const std::string& name : names) {
    const auto known = std::find_if(units().begin(), units().end(),
                                    [&](const Unit& unit) { return unit.name == name; });
    if (known == units().end()) throw std::runtime_error("no unit is called " + name);
    out.push_back(*known);
  }
  return out;
}

Bytes read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad()) throw std::runtime_error("cannot read " + path.string());
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

void write(const fs::path& path, ByteView bytes) {
  std::ofstream out(path, std::ios::binary);
  out << as_text(bytes);
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

void write_seeds(const Unit& unit, const fs::path& top) {
  const fs::path folder = top / unit.name;
  fs::create_directories(folder);
  const auto seeds = unit.seeds();
  for (const Seed& seed : seeds) write(folder / seed.name, seed.bytes);
  fmt::print("{}: {} seeds\n", unit.name, seeds.size());
}

// The name of what runs is on the screen before it runs: a CHECK does not come back.
void replay(const Unit& unit, const Arguments& arguments) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(arguments.corpus) / unit.name))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (files.empty()) throw std::runtime_error(fmt::format("{} has no corpus", unit.name));
  std::vector<Bytes> inputs;
  for (const fs::path& file : files) {
    fmt::print("{}: {}\n", unit.name, file.filename().string());
    std::fflush(stdout);
    unit.run(inputs.emplace_back(read(file)));
  }
  const std::uint64_t seed = arguments.seed.value_or(static_cast<std::uint64_t>(std::rand()));
  fmt::print("{}: {} changed copies, --mutations {} --seed {}\n", unit.name, arguments.mutations,
             arguments.mutations, seed);
  std::fflush(stdout);
  Mutation mutation(seed, nullptr);
  // What a changed copy held when it broke something is kept.
  const fs::path kept = fs::temp_directory_path() / fmt::format("fuzz-{}-{}", unit.name, getpid());
  for (std::uint64_t i = 0; i < arguments.mutations; ++i) {
    Bytes input = inputs[mutation.random.below(inputs.size())];
    for (std::uint64_t n = 1 + mutation.random.below(3); n > 0; --n)
      mutate(unit, input, input_bytes_max, mutation);
    write(kept, input);
    unit.run(input);
  }
  fs::remove(kept);
}

int run(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  diag::configure(diag::Level::off, diag::Style::text);
  if (arguments.list) {
    for (const Unit& unit : units()) fmt::print("{}\n", unit.name);
    return 0;
  }
  for (const Unit& unit : chosen(arguments.names)) {
    if (!arguments.seeds_to.empty()) {
      write_seeds(unit, arguments.seeds_to);
    } else if (!arguments.file.empty()) {
      unit.run(read(arguments.file));
    } else if (!arguments.corpus.empty()) {
      replay(unit, arguments);
    } else {
      throw std::runtime_error("say --corpus, --file, --write-seeds or --list");
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "fuzz_replay: {}\n", error.what());
    return 2;
  }
}
