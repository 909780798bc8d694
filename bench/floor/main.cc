// millrace-floor: what this machine allows with no broker in the way. Figures of the broker are
// given as ratios to these, measured in the same run (bench/README.md).
//
//   disk      synced direct writes, one after the other
//   zmq       messages from a DEALER to a ROUTER over loopback tcp
//   pipeline  both together: batches over tcp into a slab, synced to disk, acked; W in flight
#include "bench/floor/raw_disk.h"
#include "bench/floor/raw_pipeline.h"
#include "bench/floor/raw_zmq.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace millrace::floor;

constexpr std::size_t KiB = 1024;

std::size_t usual_in_flight(std::size_t batch_bytes) {
  if (batch_bytes <= 4 * KiB) return 1;
  if (batch_bytes <= 64 * KiB) return 32;
  return batch_bytes <= 256 * KiB ? 16 : 8;
}

// The table makes way where the JSON goes to standard output.
std::FILE* table = stdout;

void print_head() {
  fmt::print(table, "{:<9} {:<17} {:>9} {:>9} {:>9} {:>11} {:>9} {:>9}\n", "what", "how", "bytes",
             "in flight", "MB/s", "batches/s", "p50 us", "p99 us");
}

void print(const Cell& cell) {
  fmt::print(table, "{:<9} {:<17} {:>9} {:>9} {:>9.0f} {:>11.0f} {:>9.0f} {:>9.0f}\n", cell.kind,
             cell.name, cell.batch_bytes, cell.in_flight, cell.mb_per_second(),
             cell.batches_per_second(), cell.latency_us(0.50), cell.latency_us(0.99));
  std::fflush(table);
}

nlohmann::json to_json(const Cell& cell) {
  return {{"kind", cell.kind},
          {"name", cell.name},
          {"batch_bytes", cell.batch_bytes},
          {"in_flight", cell.in_flight},
          {"batches", cell.batches},
          {"seconds", cell.seconds},
          {"mb_per_second", cell.mb_per_second()},
          {"batches_per_second", cell.batches_per_second()},
          {"p50_us", cell.latency_us(0.50)},
          {"p99_us", cell.latency_us(0.99)}};
}

void write_json(const std::vector<Cell>& cells, const std::string& path) {
  nlohmann::json out = nlohmann::json::array();
  for (const Cell& cell : cells) out.push_back(to_json(cell));
  if (path == "-") {
    fmt::print("{}\n", out.dump(2));
    return;
  }
  std::ofstream file(path);
  file << out.dump(2) << "\n";
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::vector<std::size_t> sizes(const Options& options, std::vector<std::size_t> usual) {
  if (options.batch_bytes != 0) return {options.batch_bytes};
  return usual;
}

std::vector<Cell> measure(const Options& options, const std::string& only) {
  std::vector<Cell> cells;
  const auto wanted = [&](const char* kind) { return only.empty() || only == kind; };
  const auto keep = [&](Cell cell) {
    print(cell);
    cells.push_back(std::move(cell));
  };
  for (const Blocks blocks : {Blocks::fallocated, Blocks::written}) {
    if (!wanted("disk")) break;
    for (const std::size_t size : sizes(options, {4 * KiB, 64 * KiB, 256 * KiB, 1024 * KiB})) {
      keep(measure_disk(options, size, blocks));
    }
  }
  if (wanted("zmq")) {
    for (const std::size_t size : sizes(options, {100, KiB, 64 * KiB, 256 * KiB, 1024 * KiB})) {
      keep(measure_zmq(options, size));
    }
  }
  for (const Blocks blocks : {Blocks::fallocated, Blocks::written}) {
    if (!wanted("pipeline")) break;
    for (const std::size_t size : sizes(options, {4 * KiB, 64 * KiB, 256 * KiB, 1024 * KiB})) {
      const std::size_t window = options.in_flight != 0 ? options.in_flight : usual_in_flight(size);
      keep(measure_pipeline(options, size, window, blocks));
    }
  }
  return cells;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures the raw disk, raw ZeroMQ and the raw durable pipeline of this machine.");
  Options options;
  std::string only, json_file;
  app.add_option("--dir", options.directory, "Directory on the file system to measure")
      ->check(CLI::ExistingDirectory)
      ->capture_default_str();
  app.add_option("--batch-bytes", options.batch_bytes,
                 "One size instead of the usual ones (a multiple of 4096, except with --only zmq)")
      ->check(CLI::Range(1, 64 << 20));
  app.add_option("--in-flight", options.in_flight, "Unacked batches of the pipeline")
      ->check(CLI::Range(1, 1024));
  app.add_option("--seconds", options.seconds, "A cell ends after this time")
      ->check(CLI::Range(0.01, 600.0))
      ->capture_default_str();
  app.add_option("--bytes", options.bytes_max, "... or after this many bytes")
      ->capture_default_str();
  app.add_option("--only", only, "disk, zmq or pipeline")
      ->check(CLI::IsMember({"disk", "zmq", "pipeline"}));
  app.add_option("--json", json_file, "Write the figures to this file; - for standard output");
  CLI11_PARSE(app, argc, argv);
  if (options.batch_bytes % alignment != 0 && only != "zmq") {
    fmt::print(stderr,
               "millrace-floor: --batch-bytes must be a multiple of {} (or add --only zmq)\n",
               alignment);
    return 2;
  }
  if (json_file == "-") table = stderr;
  try {
    print_head();
    const std::vector<Cell> cells = measure(options, only);
    if (json_file.empty()) return 0;
    write_json(cells, json_file);
  } catch (const std::exception& error) {
    fmt::print(stderr, "millrace-floor: {}\n", error.what());
    return 1;
  }
  return 0;
}
