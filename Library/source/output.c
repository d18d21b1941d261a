/* What goes to the hub: one packet at a time, filled by the objects that have something to say. */
#include "private.h"

#include <errno.h>

bool muntin__is_linked(const muntin *connection) {
  return connection->link == LINK_GREETING || connection->link == LINK_UP;
}

uint64_t muntin__next_serial(muntin *connection) { return ++connection->last_serial; }

static const uint64_t quiet = UINT64_C(1) << 63;

uint64_t muntin__quiet_serial(muntin *connection) { return muntin__next_serial(connection) | quiet; }

bool muntin__is_quiet(uint64_t serial) { return (serial & quiet) != 0; }

static void empty(muntin *connection) {
  for (size_t index = 0; index < connection->out_count; index++) muntin__let_go(&connection->out_descriptors[index]);
  connection->out_size = connection->out_count = 0;
  connection->out_has_request = false;
}

/* Sends the packet: true if the next one can be written. */
static bool send_packet(muntin *connection) {
  int descriptors[MAXIMUM_PACKET_DESCRIPTORS];
  if (connection->out_size == 0) return true;
  for (size_t index = 0; index < connection->out_count; index++) {
    descriptors[index] = connection->out_descriptors[index]->fd;
  }
  int result = connection->sent_no_more;
  if (result == 0) {
    result = connection->transport->send(connection->context, connection->out, connection->out_size, descriptors,
                                         connection->out_count);
  }
  if (result == -EAGAIN) return false;
  /* The hub is gone, but what it said before is still to be read: the reading side ends the connection. */
  if (result < 0) connection->sent_no_more = result;
  else connection->statistics.packets_sent++;
  empty(connection);
  return true;
}

uint8_t *muntin__write(muntin *connection, uint16_t type, size_t payload, uint64_t serial,
                       struct descriptor *descriptor, bool is_request) {
  bool fits = connection->out_size + HEADER_SIZE + payload <= MAXIMUM_PACKET &&
              connection->out_count + (descriptor != NULL) <= MAXIMUM_PACKET_DESCRIPTORS &&
              !(is_request && connection->out_has_request);
  if (!fits && !send_packet(connection)) return NULL;
  uint8_t *at = connection->out + connection->out_size;
  muntin__put_header(at, type, descriptor != NULL, payload, serial);
  memset(at + HEADER_SIZE, 0, payload);
  connection->out_size += HEADER_SIZE + payload;
  if (descriptor != NULL) connection->out_descriptors[connection->out_count++] = muntin__hold(descriptor);
  connection->out_has_request |= is_request;
  return at + HEADER_SIZE;
}

static bool say(struct object *object) {
  switch (object->kind) {
  case OBJECT_BUFFER: return muntin__say_buffer((muntin_buffer *)object);
  case OBJECT_LEASE: return muntin__say_lease((muntin_lease *)object);
  case OBJECT_GRANT: return muntin__say_grant((muntin_grant *)object);
  }
  return true;
}

static bool say_constraints(muntin *connection) {
  if (!connection->wait_for_constraints) return true;
  uint8_t *at = muntin__write(connection, CONSTRAINTS, CONSTRAINTS_SIZE, muntin__next_serial(connection), NULL, true);
  if (at == NULL) return false;
  muntin__put_constraints(at, &connection->constraints);
  connection->wait_for_constraints = false;
  return true;
}

/* The first in line speaks until the line is empty or there is no room. An object may be freed when it has spoken. */
static bool say_everything(muntin *connection) {
  if (!say_constraints(connection)) return false;
  while (connection->waiting != NULL) {
    struct object *object = connection->waiting;
    if (!say(object)) return false;
    if (connection->waiting != object) continue;
    connection->waiting = object->next_waiting;
    if (connection->waiting == NULL) connection->last_waiting = NULL;
    object->next_waiting = NULL;
    object->is_waiting = false;
  }
  return true;
}

void muntin__flush(muntin *connection) {
  if (!muntin__is_linked(connection)) return;
  say_everything(connection);
  send_packet(connection);
}

uint8_t *muntin__request(muntin *connection, uint16_t type, size_t payload, uint64_t *serial) {
  uint64_t own = 0;
  uint8_t *at = NULL;
  if (!muntin__is_linked(connection)) {
    muntin__fail(connection, MUNTIN_ERROR_NO_HUB, "not connected to a hub");
    return NULL;
  }
  if (say_everything(connection)) {
    own = muntin__next_serial(connection);
    at = muntin__write(connection, type, payload, own, NULL, true);
  }
  if (at == NULL) muntin__fail(connection, MUNTIN_ERROR_BUSY, "the hub takes no more requests now");
  if (serial != NULL) *serial = at == NULL ? 0 : own;
  return at;
}
