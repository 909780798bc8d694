// The simulated Disk: bytes and names that are lost unless they were synced, completions in seeded
// order, faults on demand, and a loss of power at any operation.
//
// An operation takes effect when it is reaped, in an order that the Random draws among those that
// are ready. When the power goes, what is in flight counts as started: its sectors and names may be
// there or not, as CrashPolicy says (sim_image.h). From then on every call fails, so that the
// owners of operations can wind up; power_on starts the machine again with what is left.
//
// The sources by noun: sim_disk.cc has the calls, sim_disk_power.cc what goes wrong and the loss of
// power, sim_disk_medium.cc what a test does to the medium behind the program's back.
//
// A broken rule of the seam (misaligned direct I/O, one file opened with both accesses, a closed id
// used again) is a broken invariant and stops the test.
#pragma once

#include "storage/base/random.h"
#include "storage/io/disk.h"
#include "tests/sim/sim_image.h"

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace millrace::sim {

enum class Call {
  open,
  close,
  read,
  write,
  synced_write,
  sync_data,
  set_length,
  preallocate,
  file_size,
  make_directory,
  remove_directory,
  remove,
  rename,
  sync_directory,
  list,
};
inline constexpr std::size_t call_kinds = 15;
std::string_view call_name(Call call);

class SimDisk final : public Disk {
 public:
  explicit SimDisk(Random& random) : random_(random) {}
  ~SimDisk() override;

  // -- Disk
  void open(Completion& done, std::string_view path, OpenMode mode, Access access) override;
  void close(Completion& done, FileId file) override;
  void read(Completion& done, FileId file, Position at, MutableBytes into) override;
  void write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
             WriteSync sync) override;
  void sync_data(Completion& done, FileId file) override;
  void set_length(Completion& done, FileId file, std::uint64_t length) override;
  void preallocate(Completion& done, FileId file, Position at, std::uint64_t length) override;
  void file_size(Completion& done, FileId file) override;
  void make_directory(Completion& done, std::string_view path) override;
  void remove_directory(Completion& done, std::string_view path) override;
  void remove(Completion& done, std::string_view path) override;
  void rename(Completion& done, std::string_view from, std::string_view to) override;
  void sync_directory(Completion& done, std::string_view path) override;
  void list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) override;
  std::size_t reap() override;
  std::size_t in_flight() const override { return operations_.size() + reaping_.size(); }
  Result<Space> space() override;

  // -- time: an operation waits for up to this many reaps.
  void set_latency_reaps(std::uint64_t reaps) { latency_reaps_ = reaps; }
  // While held, operations of this kind stay in flight.
  void hold(Call call) { held_.insert(call); }
  void release(Call call) { held_.erase(call); }

  // -- faults
  enum class Effect {
    error,        // the call fails
    lost,         // a write that the device reports and never made
    misdirected,  // a write that lands on another block of the same file
  };
  struct Fault {
    Call call = Call::write;
    Errc error = Errc::storage_error;
    std::uint64_t nth = 1;  // counted from now
    bool for_ever = false;  // or that one call
    std::string path;       // only paths that contain this
    Effect effect = Effect::error;
  };
  // A failed sync forgets what it should have written, and the next one lies; what was written
  // around the cache is then read as the medium has it. A failed write has written any of its
  // sectors.
  void inject(Fault fault) { faults_.push_back({std::move(fault), 0}); }
  void lift_faults();
  std::uint64_t faults_hit() const { return faults_hit_; }
  // The same by call and error; a lost or misdirected write counts under Errc::ok.
  using FaultCounts = std::map<std::pair<Call, Errc>, std::uint64_t>;
  const FaultCounts& fault_counts() const { return fault_counts_; }
  // Whether a lost or misdirected write was to a file that has this name or is below this
  // directory, or was there once: what it spoiled there does not go with it.
  bool was_lied_about(std::string_view path) const;
  // The system takes only a part of one write in `denominator`, again and again (0: never).
  void set_short_writes(std::uint64_t denominator) { short_writes_ = denominator; }
  std::uint64_t short_writes() const { return short_writes_taken_; }
  // Is told the number (as started() counts) of each operation that an injected fault hits.
  void on_fault(std::function<void(std::uint64_t)> tell) { on_fault_ = std::move(tell); }
  // Bytes that the whole disk can hold; more is storage_full.
  void set_capacity(std::uint64_t bytes) { capacity_bytes_ = bytes; }
  static constexpr std::uint64_t boundless = std::uint64_t{1} << 40;
  std::uint64_t used_bytes() const { return image_.used_bytes(); }
  // Reads that touch [begin, end) of this file fail until lift_faults or until a write covers it.
  void make_unreadable(std::string_view path, std::uint64_t begin, std::uint64_t end);

  // -- power
  void crash(const CrashPolicy& policy);
  // The power goes when the n-th operation from now is started (1 is the next one).
  void crash_at(std::uint64_t operation, CrashPolicy policy);
  void no_crash() { crash_at_ = 0; }
  // Is shown the medium when the power goes, before anything that was pending is decided.
  void on_crash(std::function<void(const SimImage&)> show) { on_crash_ = std::move(show); }
  // Another medium in the place of this one. No file may be open.
  void adopt(SimImage image);
  bool has_power() const { return has_power_; }
  void power_on();
  std::uint64_t pending_items() const { return image_.pending_items(); }
  std::uint64_t pending_names() const { return image_.pending_names(); }
  std::uint64_t started() const { return started_; }
  std::uint64_t started(Call call) const { return started_of_[static_cast<std::size_t>(call)]; }
  std::uint64_t bytes_read() const { return bytes_read_; }
  std::size_t open_files() const;
  // What is in flight: a loss of power now would tear it.
  struct Flying {
    Call call;
    std::string path, to;
  };
  std::vector<Flying> flying() const;
  // The newest operations as text, for a failed test.
  std::string trace() const;

  // -- the medium, for tests: what is written here is durable at once, with all else that is there.
  bool exists(std::string_view path) const { return image_.find(path) != nullptr; }
  // What a loss of power cannot take: null unless every name on the way to the file is durable.
  const std::vector<std::byte>* durable_file(std::string_view path) const;
  // What a program would read; null when it is not a file.
  const std::vector<std::byte>* live_file(std::string_view path) const;
  // The greatest name of a file in `directory` that ends with `suffix` and is at most `name`;
  // empty: none.
  std::string floor_name(std::string_view directory, std::string_view name,
                         std::string_view suffix) const;
  std::vector<std::string> names(std::string_view directory) const;
  std::vector<std::byte> read_file(std::string_view path) const;
  void write_file(std::string_view path, ByteView bytes);  // makes its directories
  void make_special(std::string_view path);                // neither file nor directory
  void make_path(std::string_view directory);
  void remove_file(std::string_view path);
  void rename_file(std::string_view from, std::string_view to);
  void corrupt(std::string_view path, std::uint64_t position, std::uint8_t bits);
  void cut_file(std::string_view path, std::uint64_t bytes);
  // All files with their bytes; and a disk that holds exactly these (directories stay). No file may
  // be open.
  using Files = std::map<std::string, std::vector<std::byte>>;
  Files files() const;
  void restore(const Files& files);

 private:
  struct Operation {
    Call call{};
    Completion* done = nullptr;
    std::string path, to;
    OpenMode mode{};
    Access access{};
    FileId file;
    std::uint64_t at = 0, length = 0;
    MutableBytes into;
    std::vector<ByteView> slices;
    std::vector<DirectoryEntry>* out = nullptr;
    std::uint64_t ready_at = 0;
    std::optional<Errc> fault;
    Effect effect = Effect::error;
  };
  struct TraceLine {
    std::uint64_t number;
    Call call;
    std::string path, to;
    std::uint64_t at, length;
    std::string note;
  };
  struct Handle {
    SimNodePtr node;  // null: closed
    std::string path;
    OpenMode mode{};
    Access access{};
  };
  struct ArmedFault {
    Fault fault;
    std::uint64_t seen = 0;
  };
  struct BadRange {
    SimNodePtr node;
    std::uint64_t begin, end;
  };

  void start(Operation operation);
  void start_path(Call call, Completion& done, std::string_view path);
  void check_direct(const Handle& handle, const Operation& operation) const;
  void draw_fault(Operation& operation);
  IoResult execute(Operation& operation);
  IoResult execute_open(const Operation& operation);
  IoResult execute_read(const Operation& operation);
  IoResult execute_fault(const Operation& operation);
  IoResult execute_write(const Operation& operation);
  void write_in_pieces(const Operation& operation);
  void lie(const Operation& operation);
  static std::vector<std::byte> bytes_of(const Operation& operation);
  IoResult execute_name(const Operation& operation);
  IoResult execute_list(const Operation& operation);
  void half_execute(const Operation& operation);
  void write_some(const Operation& operation, std::uint64_t numerator);
  bool has_room(const SimNode& file, std::uint64_t begin, std::uint64_t end) const;
  Handle& handle_of(FileId file);
  static void close_handle(Handle& handle);
  void rename_handles(std::string_view from, std::string_view to);
  std::string name_of(const Operation& operation) const;

  Random& random_;
  SimImage image_;
  std::vector<Handle> handles_;
  std::deque<Operation> operations_;  // in flight, in the order of their start
  std::deque<Operation> reaping_;     // ready in this reap and not called back yet
  std::vector<ArmedFault> faults_;
  std::vector<BadRange> bad_ranges_;
  std::set<Call> held_;
  std::uint64_t latency_reaps_ = 0;
  std::uint64_t reaps_ = 0;
  std::uint64_t capacity_bytes_ = boundless;
  std::uint64_t started_ = 0;
  std::array<std::uint64_t, call_kinds> started_of_{};
  std::uint64_t faults_hit_ = 0;
  std::uint64_t crash_at_ = 0;
  CrashPolicy crash_policy_;
  std::function<void(const SimImage&)> on_crash_;
  std::function<void(std::uint64_t)> on_fault_;
  bool has_power_ = true;
  FaultCounts fault_counts_;
  std::vector<SimNodePtr> lied_about_;
  std::vector<std::string> lied_about_paths_;  // that these were moved to
  std::uint64_t short_writes_ = 0, short_writes_taken_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::deque<TraceLine> trace_;
};

}  // namespace millrace::sim
