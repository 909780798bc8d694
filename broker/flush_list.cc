#include "broker/flush_list.h"

namespace millrace {

void FlushList::add(Member& member, std::uint64_t bytes) {
  staged_bytes_ += bytes;
  if (!member.linked()) members_.push_back(member);
}

void FlushList::flush_all() {
  staged_bytes_ = 0;
  IntrusiveList<Member> rest;
  while (!members_.empty()) {
    Member& member = members_.pop_front();
    member.flush();
    if (!member.has_staged()) continue;
    staged_bytes_ += member.staged_bytes();
    rest.push_back(member);
  }
  while (!rest.empty()) members_.push_back(rest.pop_front());
}

}  // namespace millrace
