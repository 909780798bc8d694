// The judge is judged: good histories pass, and each way of breaking one gets its own verdict.
#include "tests/history/checker.h"

#include "tests/history/jepsen.h"

#include <catch2/catch.hpp>

#include <sstream>

namespace history {
namespace {

// Lines of one journal; each gets the next time where it says T.
History history_of(const std::vector<std::string>& lines) {
  std::string text = "millrace-journal 1\n";
  std::uint64_t time = 1'000;
  for (std::string line : lines) {
    for (std::size_t at = line.find(" T "); at != std::string::npos; at = line.find(" T "))
      line.replace(at + 1, 1, std::to_string(time += 10));
    text += line + "\n";
  }
  JournalReader reader;
  reader.add_text("journal", text);
  return reader.take();
}

Verdict judge(const std::vector<std::string>& lines) {
  const History history = history_of(lines);
  return Checker(history).check();
}

// Only this anomaly, so often.
void check_only(const Verdict& verdict, Anomaly kind, std::uint64_t count) {
  INFO(verdict.to_text());
  CHECK_FALSE(verdict.valid());
  for (std::size_t i = 0; i < anomaly_kinds; ++i) {
    const auto other = static_cast<Anomaly>(i);
    INFO(name_of(other));
    CHECK(verdict.count(other) == (other == kind ? count : 0));
  }
  REQUIRE_FALSE(verdict.told().empty());
  CHECK(verdict.told().front().starts_with(name_of(kind)));
}

// Session 7 sends 0..9 to a/0, ten are acked at 0..9, a follower and the final reader see them.
const std::vector<std::string> good = {
    "topic T a kept",     "open T follower a/0 0",       "send T 7 a/0 0 6",
    "ok T 7 0 6 0",       "read T follower a/0 0 7 0 6", "send T 7 a/0 6 4",
    "ok T 7 6 4 6",       "read T follower a/0 6 7 6 4", "bounds T T a/0 0 10",
    "open T final a/0 0", "read T final a/0 0 7 0 10",   "final T final a/0 0 10",
};

std::vector<std::string> with(std::vector<std::string> lines, const std::string& old,
                              const std::vector<std::string>& replacement) {
  const auto at = std::find(lines.begin(), lines.end(), old);
  REQUIRE(at != lines.end());
  lines.insert(lines.erase(at), replacement.begin(), replacement.end());
  return lines;
}

TEST_CASE("a history in which all went well is valid and counted") {
  const Verdict verdict = judge(good);
  INFO(verdict.to_text());
  CHECK(verdict.valid());
  CHECK(verdict.tally.sent == 10);
  CHECK(verdict.tally.acked == 10);
  CHECK(verdict.tally.acked_found == 10);
  CHECK(verdict.tally.read == 20);
  CHECK(verdict.tally.final_read == 10);
}

TEST_CASE("G1 an acked event behind the end of the final reading is a lost write") {
  auto lines = with(good, "read T follower a/0 6 7 6 4", {});
  lines = with(lines, "bounds T T a/0 0 10", {});
  lines = with(lines, "read T final a/0 0 7 0 10", {"read T final a/0 0 7 0 6"});
  lines = with(lines, "final T final a/0 0 10", {"final T final a/0 0 6"});
  check_only(judge(lines), Anomaly::lost_write, 4);
}

TEST_CASE("G1 an acked event below the start of a log that nothing is removed from is lost") {
  auto lines = with(good, "read T final a/0 0 7 0 10", {"read T final a/0 2 7 2 8"});
  lines = with(lines, "final T final a/0 0 10", {"final T final a/0 2 10"});
  check_only(judge(with(lines, "open T final a/0 0", {"open T final a/0 2"})), Anomaly::lost_write,
             2);
  lines = with(lines, "topic T a kept", {"topic T a removable"});
  CHECK(judge(with(lines, "open T final a/0 0", {"open T final a/0 2"})).valid());
}

TEST_CASE("G1 an acked event whose offset is no longer known must be somewhere") {
  auto lines = with(good, "ok T 7 6 4 6", {"ok T 7 6 4 -"});
  CHECK(judge(lines).valid());
  lines = with(lines, "read T follower a/0 6 7 6 4", {});
  lines = with(lines, "bounds T T a/0 0 10", {});
  lines = with(lines, "read T final a/0 0 7 0 10", {"read T final a/0 0 7 0 6"});
  check_only(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 0 6"})),
             Anomaly::lost_write, 4);
}

TEST_CASE("G4 one event at two offsets is a duplicate") {
  auto lines = with(good, "read T final a/0 0 7 0 10",
                    {"read T final a/0 0 7 0 10", "read T final a/0 10 7 9 1"});
  check_only(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 0 11"})),
             Anomaly::duplicate, 1);
}

TEST_CASE("G5 an event of unknown fate may be there once or not at all, never twice") {
  auto lines = with(good, "ok T 7 6 4 6", {"unknown T 7 6 4 timed_out"});
  const Verdict once = judge(lines);
  CHECK(once.valid());
  CHECK(once.tally.unknown_found == 4);
  // Without any outcome: its process was killed.
  CHECK(judge(with(good, "ok T 7 6 4 6", {})).valid());
  lines = with(lines, "read T final a/0 0 7 0 10",
               {"read T final a/0 0 7 0 10", "read T final a/0 10 7 9 1"});
  check_only(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 0 11"})),
             Anomaly::duplicate, 1);
  lines = with(good, "ok T 7 6 4 6", {"unknown T 7 6 4 timed_out"});
  lines = with(lines, "read T follower a/0 6 7 6 4", {});
  lines = with(lines, "bounds T T a/0 0 10", {});
  lines = with(lines, "read T final a/0 0 7 0 10", {"read T final a/0 0 7 0 6"});
  CHECK(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 0 6"})).valid());
}

TEST_CASE("G2 one offset with two values, by two readers or by reader and ack") {
  const std::vector<std::string> other = {"send T 8 a/0 0 1"};
  auto lines = good;
  lines.insert(lines.begin() + 1, other.begin(), other.end());
  lines = with(lines, "read T follower a/0 6 7 6 4",
               {"read T follower a/0 6 8 0 1", "read T follower a/0 7 7 7 3"});
  const Verdict readers = judge(lines);
  INFO(readers.to_text());
  CHECK(readers.count(Anomaly::inconsistent_offset) >= 1);
  check_only(judge(with(good, "ok T 7 6 4 6", {"ok T 7 6 2 6", "ok T 7 8 1 9", "ok T 7 9 1 8"})),
             Anomaly::inconsistent_offset, 2);
}

TEST_CASE("G3 swapped events of a session are reordered") {
  auto lines = with(good, "read T follower a/0 0 7 0 6",
                    {"read T follower a/0 0 7 0 4", "read T follower a/0 4 7 5 1",
                     "read T follower a/0 5 7 4 1"});
  lines = with(lines, "ok T 7 0 6 0", {"ok T 7 0 4 0", "ok T 7 4 1 5", "ok T 7 5 1 4"});
  check_only(judge(with(lines, "read T final a/0 0 7 0 10",
                        {"read T final a/0 0 7 0 4", "read T final a/0 4 7 5 1",
                         "read T final a/0 5 7 4 1", "read T final a/0 6 7 6 4"})),
             Anomaly::reordered, 1);
}

TEST_CASE("G3 an event before one that was acked before it was sent is reordered") {
  check_only(judge({"topic T a kept", "send T 7 a/0 0 1", "ok T 7 0 1 1", "send T 8 a/0 0 1",
                    "ok T 8 0 1 0", "open T final a/0 0", "read T final a/0 0 8 0 1",
                    "read T final a/0 1 7 0 1", "final T final a/0 0 2"}),
             Anomaly::reordered, 1);
}

TEST_CASE("G3 a hole in the final reading is a gap, and what was acked in it is lost") {
  const Verdict verdict = judge(
      with(with(good, "read T follower a/0 0 7 0 6", {"read T follower a/0 0 7 0 6"}),
           "read T final a/0 0 7 0 10", {"read T final a/0 0 7 0 4", "read T final a/0 5 7 5 5"}));
  INFO(verdict.to_text());
  CHECK(verdict.count(Anomaly::gap) == 2);  // of the range, and of its reader
  CHECK(verdict.count(Anomaly::lost_write) == 1);
  CHECK(verdict.count(Anomaly::vanished) == 1);
}

TEST_CASE("a reader that is not given offsets has a gap, and one that gets them again is told") {
  check_only(judge(with(good, "read T follower a/0 0 7 0 6",
                        {"read T follower a/0 0 7 0 2", "read T follower a/0 3 7 3 3"})),
             Anomaly::gap, 1);
  check_only(judge(with(good, "read T follower a/0 0 7 0 6",
                        {"read T follower a/0 0 7 0 6", "read T follower a/0 5 7 5 1"})),
             Anomaly::nonmonotonic_poll, 1);
  // A new beginning is none of the two.
  CHECK(judge(with(good, "read T follower a/0 0 7 0 6",
                   {"read T follower a/0 0 7 0 6", "open T follower a/0 4",
                    "read T follower a/0 4 7 4 2"}))
            .valid());
}

TEST_CASE("a skip is fine where events are removed, and a gap where they are not") {
  auto lines =
      with(good, "read T follower a/0 0 7 0 6",
           {"read T follower a/0 0 7 0 2", "skip T follower a/0 4", "read T follower a/0 4 7 4 2"});
  check_only(judge(lines), Anomaly::gap, 1);
  CHECK(judge(with(lines, "topic T a kept", {"topic T a removable"})).valid());
  lines.emplace_back("trim T a/0 4");
  CHECK(judge(lines).valid());
}

TEST_CASE("G5 a refused event that is read is an aborted read") {
  check_only(judge(with(good, "ok T 7 6 4 6", {"ok T 7 6 3 6", "fail T 7 9 1 storage_full"})),
             Anomaly::aborted_read, 1);
}

TEST_CASE("what nobody sent, or sent elsewhere, is a phantom") {
  check_only(judge(with(with(good, "read T final a/0 0 7 0 10",
                             {"read T final a/0 0 7 0 10", "read T final a/0 10 9 5 1"}),
                        "final T final a/0 0 10", {"final T final a/0 0 11"})),
             Anomaly::phantom, 1);
  auto lines = good;
  lines.insert(lines.begin() + 1, "send T 8 b/0 0 1");
  lines = with(lines, "read T final a/0 0 7 0 10",
               {"read T final a/0 0 7 0 10", "read T final a/0 10 8 0 1"});
  lines.emplace_back("final T final b/0 0 0");
  check_only(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 0 11"})),
             Anomaly::phantom, 1);
}

TEST_CASE("G6 what was read once and is not there in the end has vanished") {
  auto lines = with(good, "ok T 7 6 4 6", {});
  lines = with(lines, "bounds T T a/0 0 10", {});
  lines = with(lines, "read T final a/0 0 7 0 10", {"read T final a/0 0 7 0 6"});
  check_only(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 0 6"})),
             Anomaly::vanished, 4);
}

TEST_CASE("removed events that are read again are resurrected") {
  auto lines = with(good, "topic T a kept", {"topic T a removable"});
  lines = with(lines, "bounds T T a/0 0 10",
               {"bounds T T a/0 4 10", "open T late a/0 2", "read T late a/0 2 7 2 2"});
  lines = with(lines, "open T final a/0 0", {"open T final a/0 4"});
  lines = with(lines, "read T final a/0 0 7 0 10", {"read T final a/0 4 7 4 6"});
  check_only(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 4 10"})),
             Anomaly::resurrected, 1);
}

TEST_CASE("G6 an end below what was read, acked or told before went back, and so may a start") {
  check_only(judge(with(good, "bounds T T a/0 0 10", {"bounds T T a/0 0 8"})),
             Anomaly::end_went_back, 1);
  auto lines = with(good, "topic T a kept", {"topic T a removable"});
  lines = with(lines, "bounds T T a/0 0 10",
               {"bounds T T a/0 3 10", "bounds T T a/0 0 10", "bounds T T a/0 3 10"});
  lines = with(lines, "open T final a/0 0", {"open T final a/0 3"});
  lines = with(lines, "read T final a/0 0 7 0 10", {"read T final a/0 3 7 3 7"});
  check_only(judge(with(lines, "final T final a/0 0 10", {"final T final a/0 3 10"})),
             Anomaly::start_went_back, 1);
}

TEST_CASE("ST-15 an ack of a partition whose disk failed, without a restart, is told") {
  auto lines = with(good, "send T 7 a/0 6 4",
                    {"send T 9 a/0 0 1", "unknown T 9 0 1 storage_error", "send T 7 a/0 6 4"});
  check_only(judge(lines), Anomaly::ack_after_failure, 1);
  CHECK(judge(with(lines, "unknown T 9 0 1 storage_error",
                   {"unknown T 9 0 1 storage_error", "broker T down", "broker T up"}))
            .valid());
}

TEST_CASE("an answer of storage_error that is heard after its broker's end is not the next one's") {
  CHECK(judge(with(good, "send T 7 a/0 6 4",
                   {"send T 9 a/0 0 1", "broker T down", "unknown T 9 0 1 storage_error",
                    "send T 7 a/0 6 4"}))
            .valid());
}

TEST_CASE("G7 delivered bytes that nobody sent are told with their offset") {
  check_only(judge(with(good, "read T follower a/0 0 7 0 6",
                        {"read T follower a/0 0 7 0 5", "bad T follower a/0 5"})),
             Anomaly::corrupt_value, 1);
}

TEST_CASE("G7 damage that is told where nobody damaged anything is no gap, and is told") {
  check_only(judge(with(good, "read T follower a/0 0 7 0 6",
                        {"read T follower a/0 0 7 0 2", "damaged T follower a/0 2 4",
                         "read T follower a/0 4 7 4 2"})),
             Anomaly::damaged, 1);
}

TEST_CASE("journals that do not fit together are refused, not judged") {
  CHECK_THROWS_WITH(judge(with(good, "final T final a/0 0 10", {})), "no final reading of a/0");
  CHECK_THROWS_WITH(judge(with(good, "send T 7 a/0 6 4", {})),
                    Catch::Contains("an outcome of an event that was not sent"));
  CHECK_THROWS_WITH(judge(with(good, "ok T 7 6 4 6", {"ok T 7 6 4 6", "fail T 7 6 1 x"})),
                    Catch::Contains("journal:9: a second outcome"));
  CHECK_THROWS_WITH(judge({"sned T 7 a/0 0 1"}), Catch::Contains("journal:2: unknown record"));
  CHECK_THROWS_WITH(judge({"send T 7 a/0 0"}), Catch::Contains("a field is missing"));
}

TEST_CASE("the last line of a killed process counts only if it is whole") {
  JournalReader reader;
  reader.add_text("journal", "millrace-journal 1\nsend 5 7 a/0 0 1\nok 6 7 0 1 12");
  const History history = reader.take();
  CHECK(history.sends.size() == 1);
  CHECK(history.completions.empty());
}

TEST_CASE("in Jepsen's form each operation is an invocation and a completion of one process") {
  const History history =
      history_of({"topic T a kept", "send T 7 a/0 0 2", "send T 7 a/0 2 1", "ok T 7 0 2 0",
                  "unknown T 7 2 1 timed_out", "open T final a/0 0", "read T final a/0 0 7 0 2",
                  "final T final a/0 0 2"});
  Checker checker(history);
  REQUIRE(checker.check().valid());
  std::ostringstream out;
  write_jepsen(history, checker, out);
  CHECK(out.str() ==
        "; key 0 is a/0\n"
        "{:index 0 :type :invoke :f :send :value [[:send 0 0] [:send 0 1]] :process 1 :time 0}\n"
        "{:index 1 :type :invoke :f :send :value [[:send 0 2]] :process 2 :time 10}\n"
        "{:index 2 :type :ok :f :send :value [[:send 0 [0 0]] [:send 0 [1 1]]] :process 1 "
        ":time 20}\n"
        "{:index 3 :type :info :f :send :value [[:send 0 2]] :process 2 :time 30}\n"
        "{:index 4 :type :invoke :f :assign :value [0] :process 0 :time 40}\n"
        "{:index 5 :type :ok :f :assign :value [0] :process 0 :time 40}\n"
        "{:index 6 :type :invoke :f :poll :value [[:poll]] :process 0 :time 50}\n"
        "{:index 7 :type :ok :f :poll :value [[:poll {0 [[0 0] [1 1]]}]] :process 0 :time 50}\n");
}

}  // namespace
}  // namespace history
