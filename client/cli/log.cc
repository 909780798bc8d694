// millrace log verify | describe | dump: data directories without a broker
#include "commands.h"
#include "directory_access.h"
#include "event_printer.h"
#include "interrupt.h"
#include "millrace/where.h"
#include "progress.h"
#include "storage/inspect/batch_events.h"
#include "storage/inspect/directory_check.h"
#include "storage/inspect/segment_walk.h"
#include "summary.h"
#include "text_table.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>

namespace millrace::cli {
namespace {

using Json = nlohmann::ordered_json;
using inspect::DirectoryReport;
using inspect::Finding;

// "topics/.../0.segment position 4096 offsets 10:20: text"
std::string to_text(const Finding& finding) {
  std::string out = finding.file;
  if (finding.position) out += fmt::format(" position {}", *finding.position);
  if (finding.begin_offset && finding.end_offset) {
    out += fmt::format(" offsets {}:{}", *finding.begin_offset, *finding.end_offset);
  } else if (finding.begin_offset) {
    out += fmt::format(" offset {}", *finding.begin_offset);
  }
  return out + ": " + finding.text;
}

Json to_json(const std::vector<Finding>& findings) {
  const auto value = [](const std::optional<std::uint64_t>& v) {
    return v ? Json(*v) : Json(nullptr);
  };
  Json out = Json::array();
  for (const Finding& f : findings)
    out.push_back({{"file", f.file},
                   {"position", value(f.position)},
                   {"begin_offset", value(f.begin_offset)},
                   {"end_offset", value(f.end_offset)},
                   {"text", f.text}});
  return out;
}

Json time_json(std::int64_t ns) { return ns == 0 ? Json(nullptr) : Json(format_time(ns)); }

Json to_json(const inspect::PartitionReport& p) {
  Json segments = Json::array();
  for (const auto& s : p.segments)
    segments.push_back({{"file", s.file},
                        {"base_offset", s.base_offset},
                        {"end_offset", s.end_offset},
                        {"events", s.events},
                        {"batches", s.batches},
                        {"used_bytes", s.used_bytes},
                        {"file_bytes", s.file_bytes},
                        {"created", time_json(s.created_ns)},
                        {"last_append", time_json(s.last_append_ns)},
                        {"index", s.has_index}});
  return {{"partition", p.partition},
          {"start_offset", p.start_offset},
          {"end_offset", p.end_offset},
          {"closed_cleanly", p.closed_cleanly},
          {"segments", segments}};
}

Json to_json(const DirectoryReport& report) {
  Json topics = Json::array();
  for (const auto& t : report.topics) {
    Json partitions = Json::array();
    for (const auto& p : t.partition_reports) partitions.push_back(to_json(p));
    topics.push_back({{"topic", t.name},
                      {"id", t.id},
                      {"partitions", t.partitions},
                      {"created", time_json(t.created_ns)},
                      {"settings", t.settings},
                      {"partition_list", partitions}});
  }
  return {{"directory", report.path},
          {"cluster_id", report.cluster_id},
          {"created", time_json(report.created_ns)},
          {"topics", topics},
          {"faults", to_json(report.faults)},
          {"notes", to_json(report.notes)}};
}

void print_findings(const DirectoryReport& report) {
  std::string out;
  for (const Finding& f : report.faults) out += "fault  " + to_text(f) + "\n";
  for (const Finding& f : report.notes) out += "note   " + to_text(f) + "\n";
  print_text(out);
}

struct Totals {
  std::uint64_t partitions = 0, segments = 0, batches = 0, events = 0, bytes = 0;
};

Totals totals_of(const DirectoryReport& report) {
  Totals totals;
  for (const auto& t : report.topics) {
    for (const auto& p : t.partition_reports) {
      ++totals.partitions;
      for (const auto& s : p.segments) {
        ++totals.segments;
        totals.batches += s.batches;
        totals.events += s.events;
        totals.bytes += s.used_bytes;
      }
    }
  }
  return totals;
}

Result<DirectoryReport> inspect_with_progress(const Context& context, const std::string& directory,
                                              inspect::Depth depth) {
  if (auto fault = no_access(directory)) return fail(Errc::data_dir_refused, std::move(*fault));
  finish_on_interrupt();
  ProgressLine progress(context);
  const double begin = monotonic_seconds();
  return inspect::inspect_directory(directory, depth, [&](const inspect::ProgressPoint& point) {
    if (progress.due())
      progress.draw(fmt::format("{} read, {}, {}", human_bytes(point.bytes),
                                human_rate(point.bytes, monotonic_seconds() - begin), point.file));
    return !interrupted();
  });
}

void print_describe(const DirectoryReport& report) {
  std::string out = fmt::format("directory  {}\ncluster    {}\ncreated    {}\n", report.path,
                                report.cluster_id.empty() ? "-" : report.cluster_id,
                                report.created_ns == 0 ? "-" : format_time(report.created_ns));
  TextTable table(
      {"TOPIC", ">PARTITION", ">START", ">END", ">SEGMENTS", ">SIZE", "CLOSED", "LAST APPEND"});
  for (const auto& t : report.topics) {
    for (const auto& p : t.partition_reports) {
      std::uint64_t bytes = 0;
      for (const auto& s : p.segments) bytes += s.used_bytes;
      const std::int64_t last = p.segments.empty() ? 0 : p.segments.back().last_append_ns;
      table.add_row({t.name.empty() ? t.id : t.name, std::to_string(p.partition),
                     std::to_string(p.start_offset), std::to_string(p.end_offset),
                     std::to_string(p.segments.size()), human_bytes(bytes),
                     p.closed_cleanly ? "cleanly" : "no", last == 0 ? "-" : format_time(last)});
    }
  }
  print_text(out + "\n" + table.to_string());
}

// -- dump

struct DumpedSegment {
  inspect::FileReader file;
  SegmentHeader header;
  std::optional<Offset> end_offset;  // where the segment behind it begins, if that lies beside it
};

Json batch_json(const BatchHeader& h, Position at) {
  return {{"position", at.value},
          {"base_offset", h.base_offset.value},
          {"end_offset", h.end_offset().value},
          {"events", h.event_count},
          {"codec", std::string(codec_name(h.codec))},
          {"body_bytes", h.body_bytes},
          {"raw_bytes", h.raw_bytes},
          {"append_time", format_time(h.append_time.ns)},
          {"max_event_time", format_time(h.max_event_time.ns)},
          {"producer_id", h.producer_id},
          {"producer_epoch", h.producer_epoch},
          {"sequence", h.sequence},
          {"leader_epoch", h.leader_epoch.value},
          {"durable_position", h.durable_position},
          {"header_crc", fmt::format("{:08x}", h.header_crc)},
          {"body_crc", fmt::format("{:08x}", h.body_crc)}};
}

std::string batch_text(const BatchHeader& h, Position at) {
  return fmt::format(
      "batch      position {} offsets {}:{} events {} {} {} B ({} B raw) appended {} producer "
      "{:016x}/{} sequence {} "
      "crc {:08x}\n",
      at.value, h.base_offset.value, h.end_offset().value, h.event_count, codec_name(h.codec),
      h.body_bytes, h.raw_bytes, format_time(h.append_time.ns), h.producer_id, h.producer_epoch,
      h.sequence, h.header_crc);
}

std::string header_text(const SegmentHeader& h, std::uint64_t file_bytes) {
  return fmt::format(
      "segment    {:016x} base offset {} created {} file {} B\n"
      "topic      {} ({}) partition {} cluster {}\n"
      "before     segment {:016x} base offset {} crc {:08x}\n",
      h.segment_id, h.base_offset.value, format_time(h.created.ns), file_bytes, h.topic_name,
      h.topic_id.to_hex(), h.partition, h.cluster_id.to_hex(), h.previous_segment_id,
      h.previous_base_offset.value, h.previous_crc);
}

Json header_json(const SegmentHeader& h, std::uint64_t file_bytes) {
  return {{"segment_id", fmt::format("{:016x}", h.segment_id)},
          {"base_offset", h.base_offset.value},
          {"created", format_time(h.created.ns)},
          {"file_bytes", file_bytes},
          {"topic", h.topic_name},
          {"topic_id", h.topic_id.to_hex()},
          {"partition", h.partition},
          {"cluster_id", h.cluster_id.to_hex()},
          {"previous_segment_id", fmt::format("{:016x}", h.previous_segment_id)},
          {"previous_base_offset", h.previous_base_offset.value}};
}

EventView to_view(const inspect::StoredEvent& event, const SegmentHeader& header) {
  return {.topic = header.topic_name,
          .partition = header.partition,
          .offset = event.offset,
          .time_ns = event.time_ns,
          .append_time_ns = event.append_time_ns,
          .key = event.key,
          .payload = event.payload,
          .raw_headers = event.raw_headers};
}

// Faults of one segment; answers the exit code.
int report_walk(const std::string& path, const inspect::WalkResult& walked, bool bodies_whole) {
  for (const inspect::WalkDamage& d : walked.damage)
    say(fmt::format("fault in {} position {} offsets {}:{}: {}", path, d.position.value,
                    d.offsets.begin.value, d.offsets.end.value, d.reason));
  if (walked.tail_is_torn)
    say(fmt::format(
        "{} position {} offset {}: nothing behind it continues the segment: a torn tail "
        "of an unclean stop, if this is the newest segment of its log; log verify "
        "looks at the whole log",
        path, walked.end_position.value, walked.end_offset.value));
  return walked.damage.empty() && bodies_whole ? exit_code::done : exit_code::failed;
}

int dump_batches(const Context& context, const LogDumpArguments& arguments,
                 const DumpedSegment& segment) {
  OutputBuffer output(STDOUT_FILENO);
  output.append(
      context.json()
          ? Json({{"segment", header_json(segment.header, segment.file.bytes())}}).dump() + "\n"
          : header_text(segment.header, segment.file.bytes()));
  inspect::SegmentWalk walk(
      segment.file, {segment.header, segment.end_offset}, [&](const BatchView& batch, Position at) {
        output.append(context.json()
                          ? Json({{"batch", batch_json(batch.header(), at)}}).dump() + "\n"
                          : batch_text(batch.header(), at));
        output.end_item();
      });
  const auto walked = walk.run();
  if (!walked)
    return report(fmt::format("cannot read {}", arguments.segment), walked.error().to_string());
  if (!context.json())
    output.append(fmt::format("end        position {} offset {}: {}, {}\n",
                              walked->end_position.value, walked->end_offset.value,
                              human_count(walked->batches, "batch", "batches"),
                              human_count(walked->events, "event")));
  output.flush();
  if (output.error() != 0) return report("cannot write results", std::strerror(output.error()));
  return report_walk(arguments.segment, *walked, true);
}

int dump_events(const Context& context, const LogDumpArguments& arguments,
                const DumpedSegment& segment) {
  auto format = choose_format(context, arguments.format.empty() && !context.json()
                                           ? LogDumpArguments::default_format
                                           : arguments.format);
  if (!format) return exit_code::usage;
  EventPrinter printer(std::move(*format), STDOUT_FILENO);
  inspect::BatchEvents events;
  bool bodies_whole = true;
  inspect::SegmentWalk walk(
      segment.file, {segment.header, segment.end_offset}, [&](const BatchView& batch, Position at) {
        const auto ok = events.visit(batch, [&](const inspect::StoredEvent& event) {
          printer.print(to_view(event, segment.header));
        });
        if (ok) return;
        bodies_whole = false;
        say(fmt::format("fault in {} position {} offsets {}:{}: {}", arguments.segment, at.value,
                        batch.header().base_offset.value, batch.header().end_offset().value,
                        ok.error().text));
      });
  const auto walked = walk.run();
  if (!walked)
    return report(fmt::format("cannot read {}", arguments.segment), walked.error().to_string());
  return printer.finish(report_walk(arguments.segment, *walked, bodies_whole));
}

}  // namespace

int log_verify(const Context& context, const std::string& directory) {
  const double begin = monotonic_seconds();
  const auto report_or = inspect_with_progress(context, directory, inspect::Depth::verify);
  if (!report_or) return report("cannot verify", report_or.error().to_string());
  const DirectoryReport& found = *report_or;
  if (interrupted()) return exit_code::interrupted;
  const Totals totals = totals_of(found);
  if (context.json()) {
    Json all = to_json(found);
    all["ok"] = found.faults.empty();
    all["batches"] = totals.batches;
    all["events"] = totals.events;
    all["bytes"] = totals.bytes;
    all["seconds"] = monotonic_seconds() - begin;
    print_json(all);
  } else {
    print_findings(found);
    if (!context.quiet)
      print_text(fmt::format(
          "{}: {}, {}, {}, {}, {}, {}: {}\n", directory, human_count(found.topics.size(), "topic"),
          human_count(totals.partitions, "partition"), human_count(totals.segments, "segment"),
          human_count(totals.batches, "batch", "batches"), human_count(totals.events, "event"),
          human_bytes(totals.bytes),
          found.faults.empty() ? "no fault" : human_count(found.faults.size(), "fault")));
  }
  return found.faults.empty() ? exit_code::done : exit_code::failed;
}

int log_describe(const Context& context, const std::string& directory) {
  const auto found = inspect_with_progress(context, directory, inspect::Depth::describe);
  if (!found) return report("cannot describe", found.error().to_string());
  if (interrupted()) return exit_code::interrupted;
  if (context.json()) {
    print_json(to_json(*found));
  } else {
    print_describe(*found);
    print_findings(*found);
  }
  return found->faults.empty() ? exit_code::done : exit_code::failed;
}

int log_dump(const Context& context, const LogDumpArguments& arguments) {
  static constexpr const char* advice = "; name a .segment file that may be read";
  auto file = inspect::FileReader::open(arguments.segment);
  if (!file) return report("cannot dump", file.error().to_string() + advice);
  const auto block = file->read_front(segment_layout::header_bytes);
  if (!block) return report("cannot dump", block.error().to_string());
  auto header = decode_segment_header(*block);
  if (!header)
    return report(fmt::format("{} position 0 is no segment header", arguments.segment),
                  header.error().to_string() + advice);
  const auto end = inspect::end_by_successor(arguments.segment, *header);
  const DumpedSegment segment{std::move(*file), std::move(*header), end};
  return arguments.events ? dump_events(context, arguments, segment)
                          : dump_batches(context, arguments, segment);
}

}  // namespace millrace::cli
