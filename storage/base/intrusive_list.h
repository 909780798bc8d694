// A doubly linked list whose links live in the elements: no allocation, O(1) removal of an element
// that is known. The list does not own; an element must be out of its list when it dies.
#pragma once

#include "storage/base/check.h"

namespace millrace {

struct ListLink {
  ListLink* previous = nullptr;
  ListLink* next = nullptr;

  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { CHECK(!linked(), "a list element died inside its list"); }

  bool linked() const { return next != nullptr; }
  void unlink() {
    if (!linked()) return;
    previous->next = next;
    next->previous = previous;
    previous = next = nullptr;
  }
};

// T derives from ListLink (publicly), once.
template <class T>
class IntrusiveList {
 public:
  IntrusiveList() { head_.previous = head_.next = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    while (!empty()) front().unlink();
    head_.previous = head_.next = nullptr;
  }

  bool empty() const { return head_.next == &head_; }
  T& front() { return *static_cast<T*>(head_.next); }
  T& back() { return *static_cast<T*>(head_.previous); }
  void push_back(T& element) {
    CHECK(!element.linked(), "an element can be in one list only");
    element.previous = head_.previous;
    element.next = &head_;
    head_.previous->next = &element;
    head_.previous = &element;
  }
  T& pop_front() {
    T& first = front();
    first.unlink();
    return first;
  }

 private:
  ListLink head_;
};

}  // namespace millrace
