/* The messages of protocol.md: types, lengths, and the values that several of them hold. */
#ifndef MUNTIN_WIRE_H
#define MUNTIN_WIRE_H

#include "bytes.h"
#include "muntin.h"

enum {
  PROTOCOL_VERSION = 1,
  ROLE_APPLICATION = 4,
  HEADER_SIZE = 16,
  MAXIMUM_PACKET = 65536,
  MAXIMUM_PACKET_DESCRIPTORS = 16,
  FLAG_DESCRIPTOR = 1
};

enum message_type {
  HELLO = 0x0001,
  WELCOME = 0x0002,
  ERROR_MESSAGE = 0x0003,
  BUFFER_FREED = 0x0183,
  BUFFER_REVOKED = 0x0185,
  BUFFER_OFFER = 0x0401,
  BUFFER_WITHDRAW = 0x0402,
  BUFFER_UPDATE = 0x0403,
  ACQUIRE = 0x0404,
  RELEASE = 0x0405,
  DONE = 0x0406,
  LOOKUP = 0x0407,
  QUERY = 0x0408,
  CONSTRAINTS = 0x0409,
  REQUIREMENTS = 0x040a,
  GRANT = 0x040b,
  REVOKE = 0x040c,
  GRANTS = 0x040d,
  CANCEL = 0x040e,
  ACCEPTED = 0x0481,
  ACQUIRED = 0x0482,
  UPDATED = 0x0483,
  REVOKED = 0x0484,
  RETIRED = 0x0485,
  REQUIREMENTS_MERGED = 0x0486,
  BUFFER_INFO = 0x0487,
  QUERY_END = 0x0488,
  BUFFER_DONE = 0x0489,
  GRANT_RECORD = 0x048a,
  BUFFER_WANTED = 0x048b,
  BUFFER_TAKEN = 0x048c
};

/* Bytes of values, and of messages without their header. */
enum {
  LAYOUT_SIZE = 32,
  PARTY_SIZE = 72,
  MEMORY_SIZE = 32,
  PROPERTY_SIZE = MUNTIN_PROPERTY_NAME_SIZE + MUNTIN_PROPERTY_VALUE_SIZE,
  CONSTRAINTS_SIZE = 304,
  INFO_SIZE = 248, /* and its properties */
  OFFER_SIZE = 160 /* and its properties */
};

struct header {
  uint16_t type;
  uint16_t flags;
  uint32_t length; /* with the header */
  uint64_t serial;
};

struct header muntin__get_header(const uint8_t *at);

/* Writers: the values were checked before. */
void muntin__put_header(uint8_t *at, uint16_t type, bool has_descriptor, size_t payload, uint64_t serial);
void muntin__put_layout(uint8_t *at, const muntin_layout *layout);
void muntin__put_rectangle(uint8_t *at, const muntin_rectangle *rectangle);
void muntin__put_party(uint8_t *at, uint32_t kind, const char *name);
void muntin__put_constraints(uint8_t *at, const muntin_constraints *constraints);

/* Readers: false if the bytes break the protocol. */
bool muntin__get_layout(const uint8_t *at, muntin_layout *layout);
bool muntin__get_party(const uint8_t *at, muntin_party *party);
bool muntin__get_constraints(const uint8_t *at, muntin_constraints *constraints);
/* A buffer's images: 0 counts as 1; 0 if they are too many. */
uint32_t muntin__images(uint32_t count);
bool muntin__get_info(const uint8_t *at, size_t size, muntin_info *info);
bool muntin__get_grant_record(const uint8_t *at, muntin_grant_record *record);
muntin_rectangle muntin__get_rectangle(const uint8_t *at);
bool muntin__is_zero(const uint8_t *at, size_t size);

/* Bytes from the buffer's first to the end of its last pixel; 0 if the layout's numbers do not agree. */
uint64_t muntin__layout_end(const muntin_layout *layout);

#endif
