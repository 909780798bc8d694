// Checksums made right again over whatever a mutator left, so that the fuzz gets behind them. Each
// answers false when there is too little to seal.
#pragma once

#include "tests/fuzz/fuzz.h"

namespace millrace::fuzz {

// A batch header at the front of `bytes`: its body's checksum over as many bytes as are there, then
// its own.
bool seal_batch_again(MutableBytes bytes);
// Only the header's own.
bool seal_batch_header_again(MutableBytes bytes);
// The block at the front of a segment file.
bool seal_segment_header_again(MutableBytes bytes);
bool seal_index_again(MutableBytes bytes);
bool seal_checkpoint_again(MutableBytes slot);
bool seal_topic_meta_again(MutableBytes file);

// Places of batch magics on 8-byte boundaries.
std::vector<std::size_t> batch_places(ByteView bytes);

// Changes one batch of `bytes`, which may hold several, and seals it; the length of all stays.
void change_batch_in_place(MutableBytes bytes, Mutation& mutation);

// Copies, clears or swaps pieces that lie on 8-byte, sector or block boundaries.
void shuffle_pieces(MutableBytes bytes, Random& random);

}  // namespace millrace::fuzz
