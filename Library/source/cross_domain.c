#include "cross_domain.h"
#include "bytes.h"

/* Commands, and where the parts of SEND and RECEIVE are: numbers, kinds and sizes of what goes along are three lists. */
enum {
  INIT = 1,
  POLL = 3,
  SEND = 4,
  RECEIVE = 5,
  CHANNEL_RING = 1,
  HUB_CHANNEL = 24,
  LIST = 4 * 28,
  NUMBERS = 16,
  KINDS = NUMBERS + LIST,
  SIZES = KINDS + LIST,
  DATA = SIZES + LIST,
  KIND_BLOB = 1
};

static void put_head(uint8_t *at, uint8_t command, size_t size) {
  memset(at, 0, size < DATA ? size : DATA);
  at[0] = command;
  at[1] = CHANNEL_RING;
  put16(at + 2, (uint16_t)size);
}

void muntin__put_init(uint8_t *at, uint32_t query, uint32_t ring) {
  put_head(at, INIT, CROSS_DOMAIN_INIT_SIZE);
  put32(at + 8, query);
  put32(at + 12, ring);
  put32(at + 16, HUB_CHANNEL);
}

void muntin__put_poll(uint8_t *at) { put_head(at, POLL, CROSS_DOMAIN_POLL_SIZE); }

size_t muntin__put_send(uint8_t *at, const uint8_t *message, size_t size, uint32_t resource) {
  if (size > CROSS_DOMAIN_RING_SIZE - DATA) return 0;
  put_head(at, SEND, DATA + size);
  put32(at + 12, (uint32_t)size);
  memcpy(at + DATA, message, size);
  if (resource == 0) return DATA + size;
  put32(at + 8, 1);
  put32(at + NUMBERS, resource);
  put32(at + KINDS, KIND_BLOB);
  return DATA + size;
}

/* Without a service at its end the card says nothing. */
bool muntin__is_end(const uint8_t *entry) {
  return entry[0] == 0 || (entry[0] == RECEIVE && get32(entry + 8) == 0 && get32(entry + 12) == 0);
}

bool muntin__get_received(const uint8_t *entry, struct received *received) {
  uint32_t count = get32(entry + 8), size = get32(entry + 12);
  *received = (struct received){.message = entry + DATA};
  if (muntin__is_end(entry)) return true;
  if (entry[0] != RECEIVE || size > CROSS_DOMAIN_RING_SIZE - DATA || count > 1) return false;
  received->size = size;
  if (count == 0 || size == 0) return count == 0;
  received->has_blob = true;
  received->blob_number = get32(entry + NUMBERS);
  received->blob_size = get32(entry + SIZES);
  return get32(entry + KINDS) == KIND_BLOB && received->blob_size > 0;
}
