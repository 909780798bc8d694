#include "bench/floor/raw_disk.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace millrace::floor {
namespace {

constexpr std::uint64_t write_tag = 1;
constexpr std::uint64_t poll_tag = 2;
constexpr std::size_t prepare_piece = std::size_t{4} << 20;
constexpr std::uint64_t file_bytes = std::uint64_t{1} << 30;

[[noreturn]] void give_up(const std::string& what, int error) {
  throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(error)));
}

void write_all_blocks(int file, std::uint64_t bytes) {
  AlignedMemory zeros(prepare_piece);
  std::memset(zeros.data(), 0, zeros.size());
  for (std::uint64_t at = 0; at < bytes; at += prepare_piece) {
    const ssize_t written = pwrite(file, zeros.data(), zeros.size(), static_cast<off_t>(at));
    if (written != static_cast<ssize_t>(zeros.size()))
      give_up("cannot write the file ahead", errno);
  }
}

}  // namespace

AlignedMemory::AlignedMemory(std::size_t bytes)
    : size_(bytes), data_(static_cast<std::byte*>(aligned_alloc(alignment, bytes))) {
  if (!data_) throw std::runtime_error("no memory");
  std::memset(data_.get(), 0x5A, bytes);  // no page fault is measured later
}

void AlignedMemory::Free::operator()(std::byte* data) const { free(data); }

RawFile::RawFile(const std::string& directory, std::uint64_t bytes, Blocks blocks) : size_(bytes) {
  std::string name = directory + "/millrace-floor-XXXXXX";
  file_ = mkostemp(name.data(), O_DIRECT | O_CLOEXEC);
  if (file_ < 0) give_up("cannot make a file for direct writes in " + directory, errno);
  unlink(name.c_str());
  if (fallocate(file_, 0, 0, static_cast<off_t>(bytes)) != 0) give_up("fallocate", errno);
  if (blocks == Blocks::written) write_all_blocks(file_, bytes);
  if (fsync(file_) != 0) give_up("fsync", errno);
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int result = io_uring_queue_init_params(8, &ring_, &parameters);
  if (result < 0) give_up("io_uring", -result);
}

RawFile::~RawFile() {
  // The kernel reads from the caller's memory until the write has ended.
  while (is_writing_ && io_uring_submit_and_wait(&ring_, 1) >= 0) take_completions();
  io_uring_queue_exit(&ring_);
  close(file_);
}

void RawFile::begin_write(const std::byte* data, std::size_t bytes) {
  if (position_ + bytes > size_) position_ = 0;
  io_uring_sqe* request = io_uring_get_sqe(&ring_);
  io_uring_prep_write(request, file_, data, static_cast<unsigned>(bytes), position_);
  request->rw_flags = RWF_DSYNC;
  io_uring_sqe_set_data64(request, write_tag);
  position_ += bytes;
  expected_ = bytes;
  is_writing_ = true;
}

void RawFile::check(int result) {
  is_writing_ = false;
  if (result < 0) give_up("write", -result);
  if (static_cast<std::size_t>(result) != expected_) throw std::runtime_error("a short write");
}

void RawFile::take_completions() {
  io_uring_cqe* done = nullptr;
  while (io_uring_peek_cqe(&ring_, &done) == 0) {
    const bool is_write = io_uring_cqe_get_data64(done) == write_tag;
    const int result = done->res;
    io_uring_cqe_seen(&ring_, done);
    if (is_write) {
      check(result);
    } else {
      is_polling_ = false;
    }
  }
}

bool RawFile::poll_written() {
  io_uring_submit_and_get_events(&ring_);
  take_completions();
  return !is_writing_;
}

void RawFile::wait_written() {
  while (is_writing_) {
    io_uring_submit_and_wait(&ring_, 1);
    take_completions();
  }
}

void RawFile::wait_written_or_readable(int descriptor) {
  if (!is_polling_) {
    io_uring_sqe* request = io_uring_get_sqe(&ring_);
    io_uring_prep_poll_add(request, descriptor, POLLIN);
    io_uring_sqe_set_data64(request, poll_tag);
    is_polling_ = true;
  }
  io_uring_submit_and_wait(&ring_, 1);
  take_completions();
}

Cell measure_disk(const Options& options, std::size_t batch_bytes, Blocks blocks) {
  Cell cell;
  cell.kind = "disk";
  cell.name = blocks == Blocks::written ? "written blocks" : "fallocated";
  cell.batch_bytes = batch_bytes;
  // Fallocated blocks may be written once only, or they would be the other kind.
  Options bounded = options;
  const std::uint64_t size = std::min(file_bytes, options.bytes_max / batch_bytes * batch_bytes);
  if (blocks == Blocks::fallocated) bounded.bytes_max = size;
  RawFile file(options.directory, size, blocks);
  AlignedMemory batch(batch_bytes);
  Limit limit(bounded);
  while (limit.allows(batch_bytes)) {
    const auto began = std::chrono::steady_clock::now();
    file.begin_write(batch.data(), batch_bytes);
    file.wait_written();
    cell.latencies_us.push_back(microseconds_since(began));
    ++cell.batches;
  }
  cell.seconds = limit.elapsed();
  return cell;
}

}  // namespace millrace::floor
