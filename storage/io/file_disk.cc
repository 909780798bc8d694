#include "storage/io/file_disk.h"

#include "storage/base/check.h"
#include "storage/io/errno_map.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace millrace {

// -- an operation's words

std::unexpected<Error> FileDisk::Operation::refused(int error_number) const {
  const DiskCall asked = is_syncing ? DiskCall::sync_data : call;
  std::string what = path;
  if (asked == DiskCall::read) what += fmt::format(" at {}", at.value + bytes_read);
  if (asked == DiskCall::write) what += fmt::format(" at {}", progress.position());
  if (asked == DiskCall::rename) what += " to " + to;
  return fail(error_from_errno(error_number, disk_call_name(asked), what));
}

std::unexpected<Error> FileDisk::Operation::stands_still() const {
  return fail(Errc::storage_error,
              fmt::format("write {} at {}: the system wrote nothing of {} bytes, again and again",
                          path, progress.position(), progress.total()));
}

FileDisk::~FileDisk() { CHECK(in_flight_ == 0, "a disk died with I/O in flight"); }

// -- starts

FileDisk::Operation& FileDisk::start(Completion& done, DiskCall call) {
  if (free_.empty()) {
    operations_.push_back(make_operation());
    free_.push_back(*operations_.back());
  }
  Operation& operation = free_.pop_front();
  operation.call = call;
  operation.done = &done;
  operation.file = FileId{};
  operation.bytes_read = 0;
  operation.is_syncing = false;
  done.start();
  ++in_flight_;
  return operation;
}

FileDisk::Operation& FileDisk::start_on_file(Completion& done, DiskCall call, FileId file) {
  OpenFile& target = files_.at(file);
  Operation& operation = start(done, call);
  ++target.in_flight;
  operation.file = file;
  operation.descriptor = target.descriptor;
  operation.is_direct = target.is_direct;
  operation.path = target.path;
  return operation;
}

FileDisk::Operation& FileDisk::start_on_name(Completion& done, DiskCall call,
                                             std::string_view path) {
  Operation& operation = start(done, call);
  operation.path = path;
  return operation;
}

void FileDisk::open(Completion& done, std::string_view path, OpenMode mode, Access access) {
  Operation& operation = start_on_name(done, DiskCall::open, path);
  operation.mode = mode;
  operation.is_direct = access == Access::direct && direct_works_;
  begin(operation);
}

void FileDisk::close(Completion& done, FileId file) {
  OpenFile closed = files_.remove(file);
  Operation& operation = start_on_name(done, DiskCall::close, closed.path);
  operation.descriptor = closed.descriptor;
  begin(operation);
}

void FileDisk::read(Completion& done, FileId file, Position at, MutableBytes into) {
  Operation& operation = start_on_file(done, DiskCall::read, file);
  operation.at = at;
  operation.into = into;
  begin(operation);
}

void FileDisk::write(Completion& done, FileId file, Position at, std::span<const ByteView> slices,
                     WriteSync sync) {
  Operation& operation = start_on_file(done, DiskCall::write, file);
  operation.sync = sync;
  operation.progress.start(at, slices, operation.is_direct);
  begin(operation);
}

void FileDisk::sync_data(Completion& done, FileId file) {
  begin(start_on_file(done, DiskCall::sync_data, file));
}

void FileDisk::set_length(Completion& done, FileId file, std::uint64_t length) {
  Operation& operation = start_on_file(done, DiskCall::set_length, file);
  operation.length = length;
  begin(operation);
}

void FileDisk::preallocate(Completion& done, FileId file, Position at, std::uint64_t length) {
  Operation& operation = start_on_file(done, DiskCall::preallocate, file);
  operation.at = at;
  operation.length = length;
  begin(operation);
}

void FileDisk::file_size(Completion& done, FileId file) {
  begin(start_on_file(done, DiskCall::file_size, file));
}

void FileDisk::make_directory(Completion& done, std::string_view path) {
  begin(start_on_name(done, DiskCall::make_directory, path));
}

void FileDisk::remove_directory(Completion& done, std::string_view path) {
  begin(start_on_name(done, DiskCall::remove_directory, path));
}

void FileDisk::remove(Completion& done, std::string_view path) {
  begin(start_on_name(done, DiskCall::remove, path));
}

void FileDisk::rename(Completion& done, std::string_view from, std::string_view to) {
  Operation& operation = start_on_name(done, DiskCall::rename, from);
  operation.to = to;
  begin(operation);
}

void FileDisk::sync_directory(Completion& done, std::string_view path) {
  begin(start_on_name(done, DiskCall::sync_directory, path));
}

void FileDisk::list(Completion& done, std::string_view path, std::vector<DirectoryEntry>& out) {
  Operation& operation = start_on_name(done, DiskCall::list, path);
  operation.entries = &out;
  begin(operation);
}

// -- for whoever carries an operation out

IoResult FileDisk::call_plainly(Operation& operation) const {
  switch (operation.call) {
    case DiskCall::set_length: {
      const auto length = static_cast<off_t>(operation.length);
      if (retry_transient([&] { return ftruncate(operation.descriptor, length); }) != 0)
        return operation.refused(errno);
      return 0;
    }
    case DiskCall::file_size: {
      struct stat status{};
      if (retry_transient([&] { return fstat(operation.descriptor, &status); }) != 0)
        return operation.refused(errno);
      return static_cast<std::size_t>(status.st_size);
    }
    case DiskCall::list: {
      if (auto good = check_relative_path(operation.path); !good) return fail(good.error());
      auto listed = root_.list(operation.path, *operation.entries);
      if (!listed) return fail(listed.error());
      return operation.entries->size();
    }
    default: break;
  }
  UNREACHABLE("a call that is not plain");
}

IoResult FileDisk::extend_with_hole(const Operation& operation) {
  const auto end = static_cast<off_t>(operation.at.value + operation.length);
  struct stat status{};
  if (fstat(operation.descriptor, &status) != 0) return operation.refused(errno);
  const bool is_short = status.st_size < end;
  if (is_short && retry_transient([&] { return ftruncate(operation.descriptor, end); }) != 0)
    return operation.refused(errno);
  return 0;
}

IoResult FileDisk::opened(const Operation& operation, int descriptor) const {
  OwnedDescriptor file(descriptor);
  const int error = settle_opened(file.get());
  if (error == EINVAL)
    return fail(Errc::storage_error, fmt::format("open {}: not a regular file", operation.path));
  if (error != 0) return operation.refused(error);
  return static_cast<std::size_t>(file.release());
}

void FileDisk::note_no_direct() {
  if (direct_works_.exchange(false)) warn_no_direct(root_.path());
}

// -- back to the caller

void FileDisk::deliver(Operation& operation) {
  --in_flight_;
  if (operation.file.is_open()) --files_.at(operation.file).in_flight;
  IoResult result = std::exchange(operation.answer, 0);
  if (operation.call == DiskCall::open && result) {
    const auto descriptor = static_cast<int>(*result);
    result =
        static_cast<std::size_t>(files_.add(descriptor, operation.path, operation.is_direct).value);
  }
  if (operation.call == DiskCall::rename && result) files_.rename(operation.path, operation.to);
  Completion& done = *operation.done;
  free_.push_back(operation);
  done.finish(std::move(result));
}

}  // namespace millrace
