#include "tests/history/jepsen.h"

#include <algorithm>
#include <functional>
#include <ostream>
#include <queue>
#include <set>
#include <tuple>

namespace history {
namespace {

// One operation, before processes and indexes are given out.
struct Operation {
  std::int64_t begin = 0, end = 0;
  std::string type, function, invoked, completed;
  std::uint32_t reader = none;  // none: a producer's
};

struct Line {
  std::int64_t time = 0;
  std::size_t operation = 0;
  bool is_end = false;
};

class Export {
 public:
  Export(const History& history, const Checker& checked) : history_(history), checked_(checked) {
    std::uint64_t next = 0;
    for (const auto& session : checked.events()) {
      first_values_.push_back(next);
      next += session.size();
    }
    unsent_value_ = next;
  }

  void write(std::ostream& out) {
    for (std::size_t i = 0; i < history_.partitions.size(); ++i)
      out << "; key " << i << " is " << history_.partitions[i].name << "\n";
    for (const Send& send : history_.sends) add_send(send);
    for (const ReaderStep& step : history_.steps) add_step(step);
    write_lines(out);
  }

 private:
  std::uint64_t value(std::uint32_t session, std::uint64_t number) const {
    const std::uint64_t size = checked_.events()[session].size();
    // A phantom has a value that nobody sent.
    return number < size ? first_values_[session] + number : unsent_value_ + number;
  }

  // A run that was sent at once becomes one operation for each run of one outcome.
  void add_send(const Send& send) {
    const auto& session = checked_.events()[send.session];
    const std::uint64_t end = send.events.first + send.events.count;
    for (std::uint64_t first = send.events.first; first < end;) {
      const std::uint32_t completion = session[first].completion;
      std::uint64_t last = first + 1;
      while (last < end && session[last].completion == completion) ++last;
      add_outcome(send, {first, last - first}, completion);
      first = last;
    }
  }

  void add_outcome(const Send& send, Run run, std::uint32_t index) {
    const Completion* completion = index == none ? nullptr : &history_.completions[index];
    const Outcome outcome = completion == nullptr ? Outcome::open : completion->outcome;
    Operation operation;
    operation.function = "send";
    operation.begin = send.time;
    operation.end = completion == nullptr ? INT64_MAX : completion->time;
    operation.type = outcome == Outcome::ok ? "ok" : outcome == Outcome::failed ? "fail" : "info";
    for (std::uint64_t n = run.first; n < run.first + run.count; ++n) {
      const std::string head =
          (n == run.first ? "[:send " : " [:send ") + std::to_string(send.partition) + " ";
      const std::string name = std::to_string(value(send.session, n));
      operation.invoked += head + name + "]";
      if (outcome != Outcome::ok) continue;
      const std::string offset =
          completion->offset == no_offset
              ? "nil"
              : std::to_string(completion->offset + n - completion->events.first);
      operation.completed += head + "[" + offset + " " + name + "]]";
    }
    if (outcome != Outcome::ok) operation.completed = operation.invoked;
    operations_.push_back(std::move(operation));
  }

  void add_step(const ReaderStep& step) {
    using Kind = ReaderStep::Kind;
    Operation operation;
    operation.reader = step.reader;
    operation.begin = operation.end = step.time;
    operation.type = "ok";
    const std::string key = std::to_string(step.partition);
    if (step.kind == Kind::open || step.kind == Kind::skip) {
      operation.function = "assign";
      std::set<std::uint32_t>& keys = assigned_[step.reader];
      keys.insert(step.partition);
      for (const std::uint32_t k : keys)
        operation.invoked += (operation.invoked.empty() ? "" : " ") + std::to_string(k);
      operation.completed = operation.invoked;
    } else if (step.kind == Kind::read) {
      operation.function = "poll";
      operation.invoked = "[:poll]";
      operation.completed = "[:poll {" + key + " [";
      for (std::uint64_t i = 0; i < step.events.count; ++i)
        operation.completed += (i == 0 ? "[" : " [") + std::to_string(step.offset + i) + " " +
                               std::to_string(value(step.session, step.events.first + i)) + "]";
      operation.completed += "]}]";
    } else {
      return;
    }
    operations_.push_back(std::move(operation));
  }

  std::uint64_t free_process() {
    if (free_.empty()) return next_process_++;
    const std::uint64_t process = free_.top();
    free_.pop();
    return process;
  }

  void write_lines(std::ostream& out) {
    std::vector<Line> lines;
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      lines.push_back({operations_[i].begin, i, false});
      lines.push_back({operations_[i].end, i, true});
    }
    // Readers' operations take no time: begin and end of each stay together, in their order.
    std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
      return std::tie(a.time, a.operation, a.is_end) < std::tie(b.time, b.operation, b.is_end);
    });
    const std::int64_t zero = lines.empty() ? 0 : lines.front().time;
    std::int64_t last = 0;
    next_process_ = history_.readers.size();
    std::vector<std::uint64_t> processes(operations_.size());
    std::uint64_t index = 0;
    for (const Line& line : lines) {
      const Operation& operation = operations_[line.operation];
      std::uint64_t& process = processes[line.operation];
      if (!line.is_end)
        process = operation.reader != none ? operation.reader : free_process();
      else if (operation.reader == none && operation.type != "info")
        free_.push(process);
      if (line.time != INT64_MAX) last = line.time - zero;
      out << "{:index " << index++ << " :type :" << (line.is_end ? operation.type : "invoke")
          << " :f :" << operation.function << " :value ["
          << (line.is_end ? operation.completed : operation.invoked) << "] :process " << process
          << " :time " << last << "}\n";
    }
  }

  const History& history_;
  const Checker& checked_;
  std::vector<std::uint64_t> first_values_;  // per session
  std::uint64_t unsent_value_ = 0;
  std::vector<Operation> operations_;
  std::map<std::uint32_t, std::set<std::uint32_t>> assigned_;  // per reader
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> free_;
  std::uint64_t next_process_ = 0;
};

}  // namespace

void write_jepsen(const History& history, const Checker& checked, std::ostream& out) {
  Export(history, checked).write(out);
}

}  // namespace history
