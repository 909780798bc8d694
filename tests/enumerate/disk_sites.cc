#include "tests/enumerate/disk_sites.h"

namespace millrace::test {
namespace {

// Sites register while other files' statics are made: the list must be there at the first.
std::vector<const DiskSite*>& all_sites() {
  static std::vector<const DiskSite*> sites;
  return sites;
}

}  // namespace

DiskSite::DiskSite(const char* file, int line, const char* call)
    : file_(file), line_(line), call_(call), number_(all_sites().size()) {
  all_sites().push_back(this);
}

std::string DiskSite::to_string() const {
  return std::string(file_) + ":" + std::to_string(line_) + " " + call_;
}

const std::vector<const DiskSite*>& disk_sites() { return all_sites(); }

std::vector<std::uint16_t>& site_trace() {
  static std::vector<std::uint16_t> trace;
  return trace;
}

}  // namespace millrace::test
