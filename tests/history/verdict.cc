#include "tests/history/verdict.h"

#include <algorithm>
#include <utility>

namespace history {
namespace {

constexpr std::array<std::string_view, anomaly_kinds> names = {
    "lost-write",        "duplicate",     "inconsistent-offset",
    "reordered",         "gap",           "aborted-read",
    "nonmonotonic-poll", "phantom",       "vanished",
    "resurrected",       "end-went-back", "start-went-back",
    "ack-after-failure", "corrupt-value", "damaged"};

using Field = std::pair<std::string_view, std::uint64_t>;

std::vector<Field> fields_of(const Tally& tally) {
  return {{"journals", tally.journals},
          {"sessions", tally.sessions},
          {"partitions", tally.partitions},
          {"sent", tally.sent},
          {"failed", tally.failed},
          {"acked", tally.acked},
          {"acked_found", tally.acked_found},
          {"acked_removed", tally.acked_removed},
          {"unknown", tally.unknown},
          {"unknown_found", tally.unknown_found},
          {"read", tally.read},
          {"final_read", tally.final_read}};
}

}  // namespace

std::string_view name_of(Anomaly kind) { return names[static_cast<std::size_t>(kind)]; }

void Verdict::add(Anomaly kind, const std::string& text, std::uint64_t count) {
  const auto index = static_cast<std::size_t>(kind);
  counts_[index] += count;
  if (told_of_kind_[index] >= told_per_kind) return;
  ++told_of_kind_[index];
  told_.push_back(std::string(names[index]) + ": " + text);
}

bool Verdict::valid() const {
  return std::all_of(counts_.begin(), counts_.end(),
                     [](std::uint64_t count) { return count == 0; });
}

std::string Verdict::to_text() const {
  std::string out;
  for (const auto& [name, value] : fields_of(tally)) {
    out += std::string(name) + " " + std::to_string(value) + "\n";
  }
  for (std::size_t i = 0; i < anomaly_kinds; ++i) {
    if (counts_[i] != 0) out += std::string(names[i]) + " " + std::to_string(counts_[i]) + "\n";
  }
  for (const std::string& text : told_) out += "  " + text + "\n";
  return out + (valid() ? "VALID\n" : "INVALID\n");
}

// Names and places hold nothing that JSON would have to escape but what quote() handles.
std::string Verdict::to_json() const {
  const auto quote = [](std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + "\"";
  };
  std::string out = std::string("{\"valid\":") + (valid() ? "true" : "false");
  for (const auto& [name, value] : fields_of(tally))
    out += "," + quote(name) + ":" + std::to_string(value);
  out += ",\"anomalies\":{";
  bool first = true;
  for (std::size_t i = 0; i < anomaly_kinds; ++i) {
    if (counts_[i] == 0) continue;
    out += (std::exchange(first, false) ? "" : ",") + quote(names[i]) + ":" +
           std::to_string(counts_[i]);
  }
  out += "},\"told\":[";
  first = true;
  for (const std::string& text : told_)
    out += (std::exchange(first, false) ? "" : ",") + quote(text);
  return out + "]}\n";
}

}  // namespace history
