/* Opening and closing, the link to the hub, and the one function that moves everything: muntin_dispatch(). */
#include "private.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SHORTEST_WAIT = 50, LONGEST_WAIT = 1000 }; /* milliseconds */

static uint64_t skipped;

uint64_t muntin__now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + skipped;
}

void muntin__skip_time(uint64_t milliseconds) { skipped += milliseconds; }

/* ---- Opening ---- */

static int default_path(char *path, size_t size) {
  const char *hub = getenv("MUNTIN_HUB"), *runtime = getenv("XDG_RUNTIME_DIR");
  int length;
  if (hub != NULL && hub[0] != 0) length = snprintf(path, size, "%s", hub);
  else length = snprintf(path, size, "%s/muntin/hub.sock", runtime != NULL && runtime[0] != 0 ? runtime : "/run");
  return length > 0 && (size_t)length < size ? 0 : MUNTIN_ERROR_INVALID;
}

static void say_hello(muntin *connection) {
  uint8_t *at = muntin__write(connection, HELLO, 192, 0, NULL, false);
  put32(at, PROTOCOL_VERSION);
  put32(at + 4, ROLE_APPLICATION);
  put_text(at + 8, connection->name, MUNTIN_NAME_SIZE);
}

/* Every object says again what the hub has to know. */
static void announce(muntin *connection) {
  say_hello(connection);
  connection->wait_for_constraints = connection->has_constraints;
  for (struct object *each = connection->objects, *next; each != NULL; each = next) {
    next = each->next;
    switch (each->kind) {
    case OBJECT_BUFFER: muntin__buffer_linked((muntin_buffer *)each); break;
    case OBJECT_LEASE: muntin__lease_linked((muntin_lease *)each); break;
    case OBJECT_GRANT: muntin__grant_linked((muntin_grant *)each); break;
    }
  }
  muntin__flush(connection);
}

static void retry_later(muntin *connection) {
  connection->link = LINK_DOWN;
  connection->retry_at = muntin__now() + connection->retry_wait;
  connection->retry_wait = connection->retry_wait * 2 > LONGEST_WAIT ? LONGEST_WAIT : connection->retry_wait * 2;
}

static int try_to_link(muntin *connection) {
  int result = connection->transport->connect == NULL ? 0 : connection->transport->connect(connection->context);
  if (result < 0) {
    retry_later(connection);
    return result;
  }
  connection->link = LINK_GREETING;
  connection->sent_no_more = 0;
  announce(connection);
  return 0;
}

static int open_way(const muntin_options *options, const muntin_transport *transport, void *context,
                    const struct memory_way *memory, muntin **connection) {
  *connection = NULL;
  if (options == NULL || !muntin__is_name(options->name, MUNTIN_NAME_SIZE)) return MUNTIN_ERROR_INVALID;
  muntin *own = calloc(1, sizeof *own);
  if (own == NULL) return MUNTIN_ERROR_MEMORY;
  own->transport = transport;
  own->memory = memory;
  own->context = context;
  own->fence = -1;
  own->reconnects = options->reconnect && transport->connect != NULL;
  own->retry_wait = SHORTEST_WAIT;
  snprintf(own->name, sizeof own->name, "%s", options->name);
  int result = try_to_link(own);
  if (result < 0 && !own->reconnects) {
    free(own);
    errno = -result;
    return result == -ENOENT || result == -ECONNREFUSED ? MUNTIN_ERROR_NO_HUB : MUNTIN_ERROR_SYSTEM;
  }
  *connection = own;
  return MUNTIN_OK;
}

int muntin_open_transport(const muntin_options *options, const muntin_transport *transport, void *context,
                          muntin **connection) {
  return open_way(options, transport, context, &muntin__files, connection);
}

/* Over a transport of this library's, whose context is gone when it fails. */
static int open_own(const muntin_options *options, const muntin_transport *transport, void *context,
                    const struct memory_way *memory, muntin **connection) {
  int result = open_way(options, transport, context, memory, connection);
  if (result < 0) {
    int error = errno;
    transport->destroy(context);
    errno = error;
  }
  return result;
}

static int open_socket(const muntin_options *options, const char *path, int fd, muntin **connection) {
  *connection = NULL;
  const muntin_transport *transport = path == NULL ? &muntin__adopted_transport : &muntin__socket_transport;
  void *context = muntin__socket_context(path, fd);
  if (context == NULL) {
    muntin__close(fd);
    return MUNTIN_ERROR_MEMORY;
  }
  return open_own(options, transport, context, &muntin__files, connection);
}

static int open_channel(const muntin_options *options, const char *card, muntin **connection) {
  void *context = muntin__channel_context(card);
  if (context == NULL) return MUNTIN_ERROR_INVALID;
  return open_own(options, &muntin__channel_transport, context, &muntin__blobs, connection);
}

/* Nobody has said where the hub is, and there is no socket where it would be, but a card that has a channel to one. */
static bool must_be_guest(const muntin_options *options, const char *path) {
  const char *hub = getenv("MUNTIN_HUB");
  return options->path == NULL && (hub == NULL || hub[0] == 0) && access(path, F_OK) < 0 && muntin__has_channel();
}

int muntin_open(const muntin_options *options, muntin **connection) {
  char path[108]; /* of sockaddr_un on Linux; elsewhere it is a little shorter, and connect() says so */
  *connection = NULL;
  if (options == NULL) return MUNTIN_ERROR_INVALID;
  if (options->path == NULL) {
    if (default_path(path, sizeof path) < 0) return MUNTIN_ERROR_INVALID;
  } else if (snprintf(path, sizeof path, "%s", options->path) >= (int)sizeof path || path[0] == 0) {
    return MUNTIN_ERROR_INVALID;
  }
  if (must_be_guest(options, path)) return open_channel(options, "", connection);
  if (strncmp(path, "drm:", 4) == 0) return open_channel(options, path + 4, connection);
  return open_socket(options, path, -1, connection);
}

int muntin_open_socket(const muntin_options *options, int socket, muntin **connection) {
  return open_socket(options, NULL, socket, connection);
}

/* ---- Losing the link ---- */

static void drop_packets(muntin *connection) {
  for (size_t index = 0; index < connection->out_count; index++) muntin__let_go(&connection->out_descriptors[index]);
  connection->out_size = connection->out_count = 0;
  connection->out_has_request = false;
  for (; connection->in_taken < connection->in_count; connection->in_taken++) {
    muntin__close(connection->in_descriptors[connection->in_taken]);
    connection->statistics.descriptors_closed++;
  }
  connection->in_size = connection->in_offset = connection->in_count = connection->in_taken = 0;
}

/* Whether a hub that says this will say it again however often this program comes back. */
static bool is_final(int error) {
  return error == MUNTIN_ERROR_MALFORMED || error == MUNTIN_ERROR_VERSION || error == MUNTIN_ERROR_NOT_PERMITTED ||
         error == MUNTIN_ERROR_BAD_BUFFER || error == MUNTIN_ERROR_UNKNOWN_OBJECT;
}

/* Ends the link; the words are in event_text. What an object waits to say is said by what it is at the next link. */
static void lose(muntin *connection, int error) {
  drop_packets(connection);
  connection->transport->disconnect(connection->context);
  connection->has_lost = true;
  connection->lost_error = error;
  connection->end_error = error;
  for (struct object *each = connection->objects; each != NULL; each = each->next) each->serial = 0;
  if (connection->reconnects && !is_final(error)) retry_later(connection);
  else connection->link = LINK_OVER;
}

static void lose_to_nonsense(muntin *connection, const char *what) {
  connection->statistics.bad_packets++;
  snprintf(connection->event_text, sizeof connection->event_text, "%s", what);
  lose(connection, MUNTIN_ERROR_BAD_PEER);
}

void muntin_close(muntin *connection) {
  if (connection == NULL) return;
  muntin__close(connection->fence);
  if (muntin__is_linked(connection)) {
    muntin__flush(connection);
    drop_packets(connection);
    connection->transport->disconnect(connection->context);
  }
  connection->link = LINK_OVER;
  while (connection->objects != NULL) {
    struct object *object = connection->objects;
    switch (object->kind) {
    case OBJECT_BUFFER: muntin__free_buffer((muntin_buffer *)object); break;
    case OBJECT_LEASE: muntin__free_lease((muntin_lease *)object); break;
    case OBJECT_GRANT: muntin__free_grant((muntin_grant *)object); break;
    }
  }
  if (connection->transport->destroy != NULL) connection->transport->destroy(connection->context);
  free(connection);
}

/* ---- Receiving ---- */

/* Whether the packet is whole messages with as many descriptors as they say. */
static bool is_well_formed(const muntin *connection) {
  size_t offset = 0, descriptors = 0;
  while (offset < connection->in_size) {
    size_t rest = connection->in_size - offset;
    if (rest < HEADER_SIZE) return false;
    struct header header = muntin__get_header(connection->in + offset);
    bool is_whole = header.length >= HEADER_SIZE && header.length % 8 == 0 && header.length <= rest;
    if (!is_whole || header.flags > FLAG_DESCRIPTOR) return false;
    descriptors += header.flags;
    offset += header.length;
  }
  return descriptors == connection->in_count;
}

/* The next packet: 1 it is there, 0 there is none, -1 the link is lost. */
static int receive(muntin *connection) {
  size_t count = MAXIMUM_PACKET_DESCRIPTORS;
  ssize_t size = connection->transport->receive(connection->context, connection->in, sizeof connection->in,
                                                connection->in_descriptors, &count);
  connection->in_count = count;
  connection->in_taken = connection->in_offset = 0;
  connection->in_size = size > 0 ? (size_t)size : 0;
  if (size == -EAGAIN) return 0;
  if (size == -EMSGSIZE) {
    lose_to_nonsense(connection, "the hub sent a packet that is too large");
    return -1;
  }
  if (size <= 0) {
    muntin__fail_with_errno(connection, "the hub hung up",
                            connection->sent_no_more != 0 ? -connection->sent_no_more : (int)-size);
    snprintf(connection->event_text, sizeof connection->event_text, "%s", connection->error_text);
    lose(connection, MUNTIN_ERROR_HUNG_UP);
    return -1;
  }
  connection->statistics.packets_received++;
  if (is_well_formed(connection)) return 1;
  lose_to_nonsense(connection, "the hub sent a packet that is not made of messages");
  return -1;
}

static int take_descriptor(muntin *connection, const struct header *header) {
  return header->flags == FLAG_DESCRIPTOR ? connection->in_descriptors[connection->in_taken++] : -1;
}

static enum outcome handle_greeting(muntin *connection, struct incoming *message, muntin_event *event) {
  bool is_welcome = message->type == WELCOME && message->size == 32 && message->descriptor < 0 &&
                    get32(message->payload) == PROTOCOL_VERSION;
  if (message->type == ERROR_MESSAGE) return muntin__handle(connection, message, event);
  if (!is_welcome) return BAD_MESSAGE;
  connection->link = LINK_UP;
  connection->retry_wait = SHORTEST_WAIT;
  connection->statistics.connections++;
  event->kind = MUNTIN_EVENT_CONNECTED;
  event->number = get64(message->payload + 8);
  return EVENT;
}

/* Takes the next message of the packet. */
static enum outcome handle_next(muntin *connection, muntin_event *event) {
  struct header header = muntin__get_header(connection->in + connection->in_offset);
  struct incoming message = {
      .type = header.type,
      .serial = header.serial,
      .payload = connection->in + connection->in_offset + HEADER_SIZE,
      .size = header.length - HEADER_SIZE,
      .descriptor = take_descriptor(connection, &header),
  };
  connection->in_offset += header.length;
  connection->statistics.messages_received++;
  enum outcome outcome = connection->link == LINK_GREETING ? handle_greeting(connection, &message, event)
                                                           : muntin__handle(connection, &message, event);
  if (outcome == EVENT && message.descriptor >= 0) {
    event->has_fence = true;
    connection->fence = message.descriptor;
  } else if (message.descriptor >= 0) {
    muntin__close(message.descriptor);
    connection->statistics.descriptors_closed++;
  }
  return outcome;
}

/* ---- Dispatching ---- */

static void begin(muntin *connection, muntin_event *event) {
  if (connection->fence >= 0) connection->statistics.descriptors_closed++;
  muntin__close(connection->fence);
  connection->fence = -1;
  memset(event, 0, sizeof *event);
  event->text = "";
}

static int tell_of_loss(muntin *connection, muntin_event *event) {
  uint64_t now = muntin__now();
  connection->has_lost = false;
  event->kind = MUNTIN_EVENT_DISCONNECTED;
  event->error = connection->lost_error;
  event->text = connection->event_text;
  if (connection->link == LINK_DOWN) {
    event->milliseconds = connection->retry_at > now ? (uint32_t)(connection->retry_at - now) : 1;
  }
  return 1;
}

/* One step: 1 an event, 0 go on, -1 nothing to do. */
static int step(muntin *connection, muntin_event *event) {
  if (connection->has_lost) return tell_of_loss(connection, event);
  if (muntin__buffer_event(connection, event)) return 1;
  if (connection->link == LINK_OVER) return -1;
  if (connection->link == LINK_DOWN) {
    if (connection->retry_at > muntin__now()) return -1;
    return try_to_link(connection) < 0 ? -1 : 0;
  }
  muntin__retry_leases(connection);
  muntin__say_fenced(connection);
  muntin__flush(connection);
  if (connection->in_offset == connection->in_size) {
    int received = receive(connection);
    if (received != 1) return received == 0 ? -1 : 0;
  }
  enum outcome outcome = handle_next(connection, event);
  if (outcome == EVENT) return 1;
  if (outcome == BAD_MESSAGE && muntin__is_linked(connection)) {
    lose_to_nonsense(connection, "the hub sent a message that breaks the protocol");
  }
  return 0;
}

int muntin_dispatch(muntin *connection, muntin_event *event) {
  begin(connection, event);
  int result;
  do result = step(connection, event);
  while (result == 0);
  if (result == 1) return 1;
  if (connection->link == LINK_OVER) {
    return muntin__fail(connection, connection->end_error, connection->event_text);
  }
  return 0;
}

int muntin_take_fence(muntin *connection) {
  int fence = connection->fence;
  connection->fence = -1;
  return fence;
}

/* An ERROR that ends the connection: the words are kept for the event. */
enum outcome muntin__ended_by_hub(muntin *connection, int error, const char *words) {
  snprintf(connection->event_text, sizeof connection->event_text, "%s", words);
  lose(connection, error);
  return NO_EVENT;
}

/* ---- Waiting ---- */

int muntin_fd(const muntin *connection) {
  return muntin__is_linked(connection) ? connection->transport->descriptor(connection->context) : -1;
}

short muntin_poll_events(const muntin *connection) {
  bool waits = connection->out_size > 0 || connection->waiting != NULL || connection->wait_for_constraints;
  return (short)(waits ? POLLIN | POLLOUT : POLLIN);
}

int muntin_timeout(const muntin *connection) {
  if (connection->has_lost || connection->untold > 0 || connection->in_offset < connection->in_size) return 0;
  if (connection->link == LINK_OVER) return -1;
  uint64_t due = connection->link == LINK_DOWN ? connection->retry_at : muntin__next_retry(connection);
  uint64_t now = muntin__now();
  if (due == UINT64_MAX) return -1;
  if (due <= now) return 0;
  return due - now > INT_MAX ? INT_MAX : (int)(due - now);
}

int muntin_wait(muntin *connection, int milliseconds) {
  int own = muntin_timeout(connection);
  bool is_own = own >= 0 && (milliseconds < 0 || own <= milliseconds);
  struct pollfd poller = {.fd = muntin_fd(connection), .events = muntin_poll_events(connection)};
  if (connection->link == LINK_OVER) return 1;
  int result = poll(&poller, 1, is_own ? own : milliseconds);
  if (result < 0 && errno != EINTR) return muntin__fail_with_errno(connection, "poll", errno);
  return result > 0 || (result == 0 && is_own) ? 1 : 0;
}

void muntin_get_statistics(const muntin *connection, muntin_statistics *statistics) {
  *statistics = connection->statistics;
}
