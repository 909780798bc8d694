#include "tests/sim/sim_disk.h"

#include "storage/base/check.h"
#include "storage/base/units.h"
#include "storage/io/disk_files.h"

#include <algorithm>
#include <cstring>

namespace millrace::sim {
namespace {

constexpr std::size_t trace_max = 100;

std::size_t total_bytes(const std::vector<ByteView>& slices) {
  std::size_t bytes = 0;
  for (const auto& slice : slices) bytes += slice.size();
  return bytes;
}

}  // namespace

std::string_view call_name(Call call) {
  static constexpr std::string_view names[call_kinds] = {"open",
                                                         "close",
                                                         "read",
                                                         "write",
                                                         "synced_write",
                                                         "sync_data",
                                                         "set_length",
                                                         "preallocate",
                                                         "file_size",
                                                         "make_directory",
                                                         "remove_directory",
                                                         "remove",
                                                         "rename",
                                                         "sync_directory",
                                                         "list"};
  return names[static_cast<std::size_t>(call)];
}

std::vector<std::byte> SimDisk::bytes_of(const Operation& operation) {
  std::vector<std::byte> out;
  out.reserve(total_bytes(operation.slices));
  for (const auto& slice : operation.slices) out.insert(out.end(), slice.begin(), slice.end());
  return out;
}

SimDisk::~SimDisk() { CHECK(operations_.empty(), "a disk died with I/O in flight"); }

// -- starting
// ---------------------------------------------------------------------------------------------------------

SimDisk::Handle& SimDisk::handle_of(FileId file) {
  CHECK(file.is_open() && static_cast<std::size_t>(file.value) < handles_.size(),
        "a file id that was never given");
  Handle& handle = handles_[static_cast<std::size_t>(file.value)];
  CHECK(handle.node != nullptr || !has_power_, "a file id was used after its close");
  return handle;
}

std::string SimDisk::name_of(const Operation& operation) const {
  if (!operation.file.is_open()) return operation.path;
  return handles_[static_cast<std::size_t>(operation.file.value)].path;
}

void SimDisk::start(Operation operation) {
  operation.done->start();
  ++started_;
  ++started_of_[static_cast<std::size_t>(operation.call)];
  trace_.push_back({started_,
                    operation.call,
                    name_of(operation),
                    operation.to,
                    operation.at,
                    operation.length,
                    {}});
  if (trace_.size() > trace_max) trace_.pop_front();
  operation.ready_at = reaps_ + 1 + random_.below(latency_reaps_ + 1);
  operation.fault = std::nullopt;
  if (has_power_) {
    draw_fault(operation);
  } else {
    operation.fault = Errc::storage_error;
  }
  if (operation.fault) trace_.back().note = " FAULT";
  operations_.push_back(std::move(operation));
  if (has_power_ && crash_at_ != 0 && started_ == crash_at_) {
    trace_.back().note += " POWER LOST, keep " + crash_policy_.to_string();
    crash(crash_policy_);
  }
}

void SimDisk::start_path(Call call, Completion& done, std::string_view path) {
  Operation operation;
  operation.call = call;
  operation.done = &done;
  operation.path = path;
  start(std::move(operation));
}

void SimDisk::open(Completion& done, std::string_view path, OpenMode mode, Access access) {
  Operation operation;
  operation.call = Call::open;
  operation.done = &done;
  operation.path = path;
  operation.mode = mode;
  operation.access = access;
  start(std::move(operation));
}

void SimDisk::close(Completion& done, FileId file) {
  Operation operation;
  operation.call = Call::close;
  operation.done = &done;
  operation.file = file;
  for (const auto& other : operations_) {
    CHECK(!(other.file == file), "a file is closed while its I/O is in flight");
  }
  (void)handle_of(file);
  start(std::move(operation));
}

void SimDisk::check_direct(const Handle& handle, const Operation& operation) const {
  if (handle.access != Access::direct) return;
  CHECK(operation.at % direct_alignment == 0, "direct I/O at a position that is not aligned");
  CHECK(operation.length % direct_alignment == 0, "direct I/O of a length that is not aligned");
  const auto aligned = [](const std::byte* data) {
    return reinterpret_cast<std::uintptr_t>(data) % direct_alignment == 0;
  };
  CHECK(aligned(operation.into.data()), "direct I/O into memory that is not aligned");
  for (const auto& slice : operation.slices) {
    CHECK(aligned(slice.data()), "direct I/O from memory that is not aligned");
    CHECK(slice.size() % direct_alignment == 0, "direct I/O of a slice that is not aligned");
  }
}

void SimDisk::read(Completion& done, FileId file, Position at, MutableBytes into) {
  Operation operation;
  operation.call = Call::read;
  operation.done = &done;
  operation.file = file;
  operation.at = at.value;
  operation.into = into;
  operation.length = into.size();
  check_direct(handle_of(file), operation);
  start(std::move(operation));
}

void SimDisk::write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
                    WriteSync sync) {
  Operation operation;
  operation.call = sync == WriteSync::yes ? Call::synced_write : Call::write;
  operation.done = &done;
  operation.file = file;
  operation.at = at.value;
  operation.slices.assign(slices.begin(), slices.end());
  operation.length = total_bytes(operation.slices);
  const Handle& handle = handle_of(file);
  CHECK(handle.mode != OpenMode::read || !has_power_, "a write to a file opened for reading");
  check_direct(handle, operation);
  start(std::move(operation));
}

void SimDisk::sync_data(Completion& done, FileId file) {
  Operation operation;
  operation.call = Call::sync_data;
  operation.done = &done;
  operation.file = file;
  (void)handle_of(file);
  start(std::move(operation));
}

void SimDisk::set_length(Completion& done, FileId file, std::uint64_t length) {
  Operation operation;
  operation.call = Call::set_length;
  operation.done = &done;
  operation.file = file;
  operation.length = length;
  CHECK(handle_of(file).mode != OpenMode::read || !has_power_, "a file opened for reading is cut");
  start(std::move(operation));
}

void SimDisk::preallocate(Completion& done, FileId file, Position at, std::uint64_t length) {
  Operation operation;
  operation.call = Call::preallocate;
  operation.done = &done;
  operation.file = file;
  operation.at = at.value;
  operation.length = length;
  CHECK(handle_of(file).mode != OpenMode::read || !has_power_, "a file opened for reading grows");
  start(std::move(operation));
}

void SimDisk::file_size(Completion& done, FileId file) {
  Operation operation;
  operation.call = Call::file_size;
  operation.done = &done;
  operation.file = file;
  (void)handle_of(file);
  start(std::move(operation));
}

void SimDisk::make_directory(Completion& done, std::string_view path) {
  start_path(Call::make_directory, done, path);
}
void SimDisk::remove_directory(Completion& done, std::string_view path) {
  start_path(Call::remove_directory, done, path);
}
void SimDisk::remove(Completion& done, std::string_view path) {
  start_path(Call::remove, done, path);
}

void SimDisk::rename(Completion& done, std::string_view from, std::string_view to) {
  Operation operation;
  operation.call = Call::rename;
  operation.done = &done;
  operation.path = from;
  operation.to = to;
  start(std::move(operation));
}

void SimDisk::sync_directory(Completion& done, std::string_view path) {
  start_path(Call::sync_directory, done, path);
}

void SimDisk::list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) {
  Operation operation;
  operation.call = Call::list;
  operation.done = &done;
  operation.path = path;
  operation.out = &out;
  out.clear();
  start(std::move(operation));
}

// -- the turn
// ---------------------------------------------------------------------------------------------------------

std::size_t SimDisk::reap() {
  ++reaps_;
  CHECK(reaping_.empty(), "a handler does not reap");
  for (auto it = operations_.begin(); it != operations_.end();) {
    const bool waits = has_power_ && (it->ready_at > reaps_ || held_.contains(it->call));
    if (waits) {
      ++it;
    } else {
      reaping_.push_back(std::move(*it));
      it = operations_.erase(it);
    }
  }
  for (std::size_t i = reaping_.size(); i > 1; --i) {
    std::swap(reaping_[i - 1], reaping_[random_.below(i)]);
  }
  std::size_t called = 0;
  for (; !reaping_.empty(); ++called) {
    // A handler may start an operation at which the power goes; what is still here was in flight
    // then.
    Operation operation = std::move(reaping_.front());
    reaping_.pop_front();
    operation.done->finish(execute(operation));
  }
  return called;
}

bool SimDisk::has_room(const SimNode& file, std::uint64_t begin, std::uint64_t end) const {
  if (capacity_bytes_ == boundless) return true;
  const std::uint64_t more = file.blocks.missing(begin, end);
  return more == 0 || image_.used_bytes() + more <= capacity_bytes_;
}

IoResult SimDisk::execute(Operation& operation) {
  if (!has_power_) return fail(Errc::storage_error, "the power is off");
  if (operation.fault) return execute_fault(operation);
  switch (operation.call) {
    case Call::open: return execute_open(operation);
    case Call::close: {
      close_handle(handle_of(operation.file));
      return std::size_t{0};
    }
    case Call::read: return execute_read(operation);
    case Call::write:
    case Call::synced_write: return execute_write(operation);
    case Call::sync_data: image_.sync(*handle_of(operation.file).node); return std::size_t{0};
    case Call::set_length:
      image_.set_length(*handle_of(operation.file).node, operation.length);
      return std::size_t{0};
    case Call::preallocate: {
      SimNode& file = *handle_of(operation.file).node;
      const std::uint64_t end = operation.at + operation.length;
      if (!has_room(file, operation.at, end))
        return fail(Errc::storage_full, "no space for " + name_of(operation));
      SimImage::reserve(file, operation.at, end);
      if (end > file.live.size()) image_.set_length(file, end);
      return std::size_t{0};
    }
    case Call::file_size: return handle_of(operation.file).node->live.size();
    case Call::list: return execute_list(operation);
    case Call::make_directory:
    case Call::remove_directory:
    case Call::remove:
    case Call::rename:
    case Call::sync_directory: return execute_name(operation);
  }
  UNREACHABLE("every call is carried out");
}

void SimDisk::rename_handles(std::string_view from, std::string_view to) {
  for (Handle& handle : handles_) {
    if (handle.node == nullptr) continue;
    if (auto path = renamed_path(handle.path, from, to)) handle.path = std::move(*path);
  }
}

// The id is dead, whatever the answer.
void SimDisk::close_handle(Handle& handle) {
  --(handle.access == Access::direct ? handle.node->direct_opens : handle.node->buffered_opens);
  handle.node = nullptr;
}

IoResult SimDisk::execute_open(const Operation& operation) {
  SimNodePtr node = image_.find(operation.path);
  if (operation.mode == OpenMode::create) {
    if (capacity_bytes_ != boundless && image_.used_bytes() + 4096 > capacity_bytes_) {
      return fail(Errc::storage_full, "no space for " + operation.path);
    }
    auto created = image_.create(operation.path, SimNode::Kind::file);
    if (!created) return fail(created.error());
    node = *created;
  }
  if (node == nullptr) return fail(Errc::not_found, operation.path);
  if (node->kind != SimNode::Kind::file) {
    return fail(Errc::storage_error, operation.path + " is not a regular file");
  }
  const bool direct = operation.access == Access::direct;
  CHECK((direct ? node->buffered_opens : node->direct_opens) == 0,
        "one file is opened with both accesses: " + operation.path);
  ++(direct ? node->direct_opens : node->buffered_opens);
  handles_.push_back({node, operation.path, operation.mode, operation.access});
  return handles_.size() - 1;
}

IoResult SimDisk::execute_read(const Operation& operation) {
  const SimNodePtr& node = handle_of(operation.file).node;
  const std::uint64_t size = node->live.size();
  const std::uint64_t begin = std::min(operation.at, size);
  const std::uint64_t end = std::min(operation.at + operation.into.size(), size);
  for (const auto& bad : bad_ranges_) {
    if (bad.node == node && begin < bad.end && bad.begin < end) {
      return fail(Errc::storage_error, "read " + name_of(operation) + ": unreadable sector");
    }
  }
  bytes_read_ += end - begin;
  if (end > begin) std::memcpy(operation.into.data(), node->live.data() + begin, end - begin);
  return static_cast<std::size_t>(end - begin);
}

IoResult SimDisk::execute_write(const Operation& operation) {
  const SimNodePtr& node = handle_of(operation.file).node;
  const std::uint64_t end = operation.at + operation.length;
  if (!has_room(*node, operation.at, end)) {
    write_some(operation, 2);
    return fail(Errc::storage_full, "no space for " + name_of(operation));
  }
  if (operation.effect != Effect::error) {
    lie(operation);
    return static_cast<std::size_t>(operation.length);
  }
  const bool is_short = short_writes_ != 0 && random_.chance(1, short_writes_);
  if (is_short) {
    write_in_pieces(operation);
  } else if (operation.call == Call::synced_write) {
    image_.write_through(*node, operation.at, bytes_of(operation));
  } else {
    image_.write(*node, operation.at, bytes_of(operation));
  }
  std::erase_if(bad_ranges_, [&](const BadRange& bad) {
    return bad.node == node && operation.at <= bad.begin && bad.end <= end;
  });
  return static_cast<std::size_t>(operation.length);
}

// The system takes what it likes of each call, and the arithmetic of the real disks goes on from
// there; what that arithmetic calls complete is what gets synced.
void SimDisk::write_in_pieces(const Operation& operation) {
  const Handle& handle = handle_of(operation.file);
  WriteProgress progress;
  progress.start(Position{operation.at}, operation.slices, handle.access == Access::direct);
  for (int calls = 0; !progress.is_complete(); ++calls) {
    std::vector<std::byte> offered;
    for (const iovec& piece : progress.remaining()) {
      const auto* data = static_cast<const std::byte*>(piece.iov_base);
      offered.insert(offered.end(), data, data + piece.iov_len);
    }
    const bool whole = calls >= 8 || random_.chance(1, 2);
    const std::size_t taken = whole ? offered.size() : 1 + random_.below(offered.size());
    if (taken < offered.size()) ++short_writes_taken_;
    image_.write(*handle.node, progress.position(), ByteView(offered).first(taken));
    progress.advance(taken);
  }
  if (operation.call == Call::synced_write) image_.sync(*handle.node);
}

IoResult SimDisk::execute_name(const Operation& operation) {
  Result<void> done;
  switch (operation.call) {
    case Call::make_directory: {
      if (image_.find(operation.path) != nullptr) return fail(Errc::already_exists, operation.path);
      if (capacity_bytes_ != boundless && image_.used_bytes() + 4096 > capacity_bytes_) {
        return fail(Errc::storage_full, "no space for " + operation.path);
      }
      auto made = image_.create(operation.path, SimNode::Kind::directory);
      if (!made) return fail(made.error());
      break;
    }
    case Call::remove_directory:
      done = image_.remove(operation.path, SimNode::Kind::directory);
      break;
    case Call::remove: done = image_.remove(operation.path, SimNode::Kind::file); break;
    case Call::rename:
      done = image_.rename(operation.path, operation.to);
      if (!done) break;
      rename_handles(operation.path, operation.to);
      if (was_lied_about(operation.to)) lied_about_paths_.push_back(operation.to);
      break;
    case Call::sync_directory: {
      const auto node = image_.find(operation.path);
      if (node == nullptr) return fail(Errc::not_found, operation.path);
      if (node->kind != SimNode::Kind::directory) {
        return fail(Errc::storage_error, operation.path + " is not a directory");
      }
      image_.sync_directory(node);
      break;
    }
    default: UNREACHABLE("not a call about names");
  }
  if (!done) return fail(done.error());
  return std::size_t{0};
}

IoResult SimDisk::execute_list(const Operation& operation) {
  const auto node = image_.find(operation.path);
  if (node == nullptr) return fail(Errc::not_found, operation.path);
  if (node->kind != SimNode::Kind::directory) {
    return fail(Errc::storage_error, operation.path + " is not a directory");
  }
  auto& out = *operation.out;
  out.clear();
  for (const auto& [name, child] : node->names) {
    DirectoryEntry entry{name, DirectoryEntry::Kind::other};
    if (child->kind == SimNode::Kind::file) entry.kind = DirectoryEntry::Kind::file;
    if (child->kind == SimNode::Kind::directory) entry.kind = DirectoryEntry::Kind::directory;
    out.push_back(std::move(entry));
  }
  for (std::size_t i = out.size(); i > 1; --i) std::swap(out[i - 1], out[random_.below(i)]);
  return out.size();
}

Result<Disk::Space> SimDisk::space() {
  const std::uint64_t used = image_.used_bytes();
  return Space{used < capacity_bytes_ ? capacity_bytes_ - used : 0, capacity_bytes_};
}

}  // namespace millrace::sim
