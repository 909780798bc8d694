#include "storage/base/intrusive_list.h"

#include "storage/base/random.h"

#include <catch2/catch.hpp>

#include <list>
#include <memory>
#include <vector>

using namespace millrace;

namespace {

struct Item : ListLink {
  explicit Item(int n) : number(n) {}
  int number;
};

}  // namespace

TEST_CASE("elements come out in the order they went in") {
  Item one(1), two(2), three(3);
  IntrusiveList<Item> list;
  CHECK(list.empty());
  for (Item* item : {&one, &two, &three}) list.push_back(*item);
  CHECK(list.front().number == 1);
  CHECK(list.back().number == 3);
  CHECK(list.pop_front().number == 1);
  two.unlink();
  two.unlink();  // already out
  CHECK(list.pop_front().number == 3);
  CHECK(list.empty());
}

TEST_CASE("a list that dies lets its elements live") {
  Item item(1);
  {
    IntrusiveList<Item> list;
    list.push_back(item);
    CHECK(item.linked());
  }
  CHECK_FALSE(item.linked());
}

TEST_CASE("random pushes and removals agree with a plain list") {
  const std::uint64_t seed = static_cast<std::uint64_t>(GENERATE(range(1, 30)));
  INFO("seed " << seed);
  Random random(seed);
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < 20; ++i) items.push_back(std::make_unique<Item>(i));
  IntrusiveList<Item> list;
  std::list<int> twin;
  for (int step = 0; step < 500; ++step) {
    Item& item = *items[random.below(items.size())];
    if (item.linked()) {
      item.unlink();
      twin.remove(item.number);
    } else {
      list.push_back(item);
      twin.push_back(item.number);
    }
    REQUIRE(list.empty() == twin.empty());
    if (!twin.empty()) {
      REQUIRE(list.front().number == twin.front());
      REQUIRE(list.back().number == twin.back());
    }
  }
  while (!list.empty()) {
    REQUIRE(list.pop_front().number == twin.front());
    twin.pop_front();
  }
  CHECK(twin.empty());
}
