// Large copies with stores that go past the caches, which Swift cannot express.
#include <string.h>

#include "CPOSIX.h"

// Shorter pieces gain nothing; longer ones keep the memory busy by themselves.
enum { SHORTEST = 512, LONGEST = 32 * 1024, LANES = MUNTIN_STREAM_LANES, TURN = 256, LINE = 64 };

#if defined(__x86_64__)

typedef unsigned long long vector __attribute__((vector_size(16)));
typedef unsigned long long unaligned_vector __attribute__((vector_size(16), aligned(1)));

// `target` is at the start of a cache line, `count` a multiple of one.
static inline __attribute__((always_inline)) void copy_lines(char *target, const char *source, size_t count) {
  for (size_t i = 0; i < count; i += LINE) {
    for (size_t j = i; j < i + LINE; j += sizeof(vector)) {
      __builtin_nontemporal_store(*(const unaligned_vector *)(source + j), (vector *)(target + j));
    }
  }
}

// Copies up to the first cache line that the target fills, so that the rest begins with one.
static void align(struct muntin_stream_lane *lane) {
  size_t head = -(uintptr_t)lane->target % LINE;
  if (head > lane->count) head = lane->count;
  memcpy(lane->target, lane->source, head);
  lane->target += head;
  lane->source += head;
  lane->count -= head;
}

static void copy_one(struct muntin_stream_lane lane) {
  align(&lane);
  size_t body = lane.count / LINE * LINE;
  copy_lines(lane.target, lane.source, body);
  memcpy(lane.target + body, lane.source + body, lane.count - body);
}

// A little of each piece in turn: what one waits for, the others fill.
static void copy_all(struct muntin_stream_lane *lanes) {
  size_t body = SIZE_MAX;
  for (int i = 0; i < LANES; i++) {
    align(&lanes[i]);
    if (lanes[i].count < body) body = lanes[i].count;
  }
  body = body / TURN * TURN;
  for (size_t at = 0; at < body; at += TURN) {
    for (int i = 0; i < LANES; i++) copy_lines(lanes[i].target + at, lanes[i].source + at, TURN);
  }
  for (int i = 0; i < LANES; i++) {
    copy_one((struct muntin_stream_lane){lanes[i].target + body, lanes[i].source + body, lanes[i].count - body});
  }
}

void muntin_stream_copy(struct muntin_stream *stream, void *target, const void *source, size_t count) {
  struct muntin_stream_lane lane = {target, source, count};
  if (count < SHORTEST) {
    memcpy(target, source, count);
  } else if (count > LONGEST) {
    copy_one(lane);
  } else {
    stream->lanes[stream->count++] = lane;
    if (stream->count < LANES) return;
    copy_all(stream->lanes);
    stream->count = 0;
  }
}

void muntin_stream_finish(struct muntin_stream *stream) {
  for (int i = 0; i < stream->count; i++) copy_one(stream->lanes[i]);
  stream->count = 0;
  // Later stores, the doorbell's among them, come after these.
  __builtin_ia32_sfence();
}

#else

void muntin_stream_copy(struct muntin_stream *stream, void *target, const void *source, size_t count) {
  (void)stream;
  memcpy(target, source, count);
}

void muntin_stream_finish(struct muntin_stream *stream) { (void)stream; }

#endif
