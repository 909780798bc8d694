// Where in the product the Disk seam is called, and which of these places each operation of a
// simulated disk came from.
//
// The build makes marked copies of the sources of storage/ and broker/ that call the disk
// (mark_disk_sites.py) and links them in the place of the originals. The pattern that marks a call
// is also what makes the list of all calls, so no call can be on the list and unmarked; and a call
// that the pattern overlooks arrives at the disk without a mark, which SiteTrace notices. Hence
// "all of the list" is all of the product.
//
// Thread: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace millrace::test {

class DiskSite {
 public:
  DiskSite(const char* file, int line, const char* call);
  std::size_t number() const { return number_; }
  std::string to_string() const;  // "storage/log.cc:281 close"

 private:
  const char* file_;
  int line_;
  const char* call_;
  std::size_t number_;
};

// All, in no order; a site's number is its place.
const std::vector<const DiskSite*>& disk_sites();

// The marks since the last clear, one per started operation.
std::vector<std::uint16_t>& site_trace();

template <class D>
D& at_site(const DiskSite& site, D& disk) {
  site_trace().push_back(static_cast<std::uint16_t>(site.number()));
  return disk;
}
template <class D>
D* at_site(const DiskSite& site, D* disk) {
  return &at_site(site, *disk);
}

}  // namespace millrace::test
