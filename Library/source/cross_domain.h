/* The bytes of cross_domain_protocol, as far as a channel to the hub needs them; no system calls here. */
#ifndef MUNTIN_CROSS_DOMAIN_H
#define MUNTIN_CROSS_DOMAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for the longest message of section 8 of the protocol, in a SEND or a RECEIVE. */
enum { CROSS_DOMAIN_RING_SIZE = 4096, CROSS_DOMAIN_INIT_SIZE = 20, CROSS_DOMAIN_POLL_SIZE = 16 };

/* Commands, which have room for what their name says; a SEND has CROSS_DOMAIN_RING_SIZE.
 * INIT: the resources that are the rings; the hub is at the other end. */
void muntin__put_init(uint8_t *at, uint32_t query, uint32_t ring);
void muntin__put_poll(uint8_t *at);
/* SEND of a message, with a resource unless it is 0: the command's length, 0 if it is too long. */
size_t muntin__put_send(uint8_t *at, const uint8_t *message, size_t size, uint32_t resource);

/* Whether an entry of the channel ring says that the channel is over. */
bool muntin__is_end(const uint8_t *entry);

/* What the host said: a message and what comes with it. Nothing: the channel's end. */
struct received {
  const uint8_t *message; /* in the entry */
  size_t size;
  bool has_blob;
  uint32_t blob_number, blob_size;
};

/* Takes an entry of the channel ring apart, which is a copy that nobody changes: false if it makes no sense. */
bool muntin__get_received(const uint8_t *entry, struct received *received);

#endif
