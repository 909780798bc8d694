// A history in Jepsen's operation format, as jepsen.tests.kafka takes it: one EDN map a line.
//
//   {:index 0 :type :invoke :f :send :value [[:send 3 17]] :process 0 :time 1}
//   {:index 1 :type :ok :f :send :value [[:send 3 [40 17]]] :process 0 :time 2}
//   {:index 2 :type :invoke :f :assign :value [3] :process 1 :time 3}
//   {:index 5 :type :ok :f :poll :value [[:poll {3 [[40 17]]}]] :process 1 :time 6}
//
// Keys and values are integers there: a comment line says which key is which partition, and a value
// is the place of its event among all sends. A Jepsen process does one thing at a time and is never
// heard of again after an :info, so a producer with many sends on their way becomes many processes.
#pragma once

#include "tests/history/checker.h"

#include <iosfwd>

namespace history {

void write_jepsen(const History& history, const Checker& checked, std::ostream& out);

}  // namespace history
