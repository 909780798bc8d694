#include "broker/daemon/process_watch.h"

#include "broker/meta/setting_text.h"
#include "storage/base/diag.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>

namespace millrace {
namespace {

constexpr std::uint64_t descriptors_warn_percent = 80;

// Pages that are in memory: the second number of statm.
std::uint64_t resident_pages() {
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  std::array<char, 128> text{};
  const ssize_t bytes = read(file, text.data(), text.size() - 1);
  close(file);
  unsigned long long size = 0, resident = 0;
  if (bytes <= 0 || std::sscanf(text.data(), "%llu %llu", &size, &resident) != 2) return 0;
  return resident;
}

}  // namespace

ProcessStatus read_process_status() {
  ProcessStatus status;
  status.resident_bytes = resident_pages() * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) status.descriptors_max = limit.rlim_cur;
  const int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);
  // None was free.
  status.descriptors = lowest < 0 ? status.descriptors_max : static_cast<std::uint64_t>(lowest);
  if (lowest >= 0) close(lowest);
  return status;
}

void ProcessWatch::look() {
  const ProcessStatus status = read_process_status();
  const bool much_memory =
      resident_warn_bytes_ != 0 && status.resident_bytes > resident_warn_bytes_;
  if (much_memory && !told_of_memory_)
    diag::warn("daemon", "{} are resident, above memory.resident_warn_bytes = {}",
               size_text(status.resident_bytes >> 20 << 20), size_text(resident_warn_bytes_));
  told_of_memory_ = much_memory;
  const bool many_descriptors =
      status.descriptors > status.descriptors_max / 100 * descriptors_warn_percent;
  if (many_descriptors && !told_of_descriptors_)
    diag::warn(
        "daemon",
        "{} of {} descriptors are open; without any left no client can connect and no segment "
        "be made: raise the limit (LimitNOFILE), or find out who opens so many connections",
        status.descriptors, status.descriptors_max);
  told_of_descriptors_ = many_descriptors;
}

}  // namespace millrace
