/* What a connection is made of, for the files of this library. */
#ifndef MUNTIN_PRIVATE_H
#define MUNTIN_PRIVATE_H

#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "system.h"
#include "wire.h"

/* A file descriptor with several holders; the last one closes it. */
struct descriptor {
  int fd;
  unsigned holders;
  int poller; /* that polls it, -1: none */
};

/* Takes over fd; NULL (and fd closed) without memory. */
struct descriptor *muntin__adopt(int fd);
/* A duplicate of fd, for a fence; *error says why there is none. */
struct descriptor *muntin__duplicate(int fd, int *error);
struct descriptor *muntin__hold(struct descriptor *descriptor);
void muntin__let_go(struct descriptor **descriptor);
/* Whether nothing may be said yet of what a fence is about, because fences do not go this way, and it is not ready. */
bool muntin__must_wait(muntin *connection, struct descriptor *fence);
/* What goes along with a message about a fence: the fence, or nothing. */
struct descriptor *muntin__passed(const muntin *connection, struct descriptor *fence);
/* What waited for a fence that is ready has something to say. */
void muntin__say_fenced(muntin *connection);

enum object_kind { OBJECT_BUFFER, OBJECT_LEASE, OBJECT_GRANT };

/*
 * What is kept over several messages: buffers, leases, grants. What has to be said about one is its state, not a queue
 * of messages: an object that has something to say is in the connection's line of waiting ones.
 */
struct object {
  enum object_kind kind;
  muntin *connection;
  struct object *next, *previous;
  struct object *next_waiting;
  bool is_waiting;
  bool is_orphan;  /* its handle is gone; it is freed when everything about it has been said */
  uint64_t serial; /* of its request that is not answered yet, else 0 */
};

enum buffer_state {
  BUFFER_TO_OFFER,
  BUFFER_OFFERING,
  BUFFER_OFFERED,
  BUFFER_TO_WITHDRAW,
  BUFFER_WITHDRAWN, /* FREED follows */
  BUFFER_GONE       /* refused or freed */
};

struct muntin_buffer {
  struct object object;
  enum buffer_state state;
  bool is_withdrawn; /* by its owner: it is not offered again */
  bool is_writable;
  bool is_still_mapped; /* by a holder that did not let go */
  bool is_idle;
  bool has_update;
  bool has_freed_to_tell; /* an event FREED that no message brings */
  uint64_t told;          /* the newest generation that this hub was told of */
  uint8_t id[MUNTIN_ID_SIZE];
  char name[MUNTIN_NAME_SIZE];
  muntin_layout layout;
  muntin_memory memory; /* fd: see descriptor */
  struct descriptor *descriptor;
  void *mapping; /* of memory that the library made */
  uint64_t generation;
  uint32_t images;
  uint64_t published[MUNTIN_MAXIMUM_IMAGES]; /* the newest generation in each image, 0: none */
  uint64_t acknowledged;                     /* only this or a newer one is given to anybody from now on */
  uint32_t held;                             /* images that somebody holds, as bits */
  uint64_t next;                             /* what muntin_buffer_next() said, 0: nothing */
  muntin_rectangle damage; /* not told yet */
  struct descriptor *fence;
  void *data;
  size_t property_count;
  muntin_property properties[];
};

enum lease_state {
  LEASE_TO_ACQUIRE,
  LEASE_ACQUIRING,
  LEASE_HELD,
  LEASE_RETRYING, /* lost with the hub, not found again yet */
  LEASE_OVER      /* refused, or the hub knows of no lease */
};

struct muntin_lease {
  struct object object;
  enum lease_state state;
  bool has_ended; /* revoked or retired: not acquired again */
  bool has_id;
  bool is_again;     /* it was held at an earlier link */
  bool has_to_renew; /* the hub has other access and flags than these, or no lease any more */
  bool has_to_cancel; /* it is waited for, and nobody wants it any more */
  bool has_done;
  uint8_t id[MUNTIN_ID_SIZE]; /* that was asked for */
  muntin_party owner;
  char name[MUNTIN_NAME_SIZE];
  muntin_access access;
  uint32_t flags;
  bool has_info;
  muntin_info info;
  struct descriptor *memory;
  bool is_mapping_stale;
  void *mapping;
  size_t mapping_size;
  void *pixels;
  uint64_t generation; /* the newest that it was told of */
  uint64_t done_generation;
  struct descriptor *done_fence;
  uint64_t retry_at, give_up_at; /* milliseconds */
  uint32_t retry_wait;
  void *data;
};

enum grant_state { GRANT_TO_GIVE, GRANT_GIVING, GRANT_GIVEN, GRANT_TO_REVOKE, GRANT_OVER };

struct muntin_grant {
  struct object object;
  enum grant_state state;
  const muntin_buffer *buffer; /* NULL: by name or all */
  char name[MUNTIN_NAME_SIZE];
  muntin_party grantee;
  muntin_access access;
  uint64_t number;
};

enum link_state {
  LINK_DOWN,
  LINK_GREETING, /* HELLO is sent or waits */
  LINK_UP,
  LINK_OVER /* for good */
};

/*
 * What goes through a transport in the place of memory: files, or (in a guest) blobs of the card. Functions with a
 * context get the transport's; each gives 0 or a negative errno, or words that say what is wrong (NULL: nothing).
 */
struct memory_way {
  /* Zeroed memory of `size` bytes (whole pages), mapped writable, with a descriptor to hand on. */
  int (*make)(void *context, size_t size, bool is_writable, struct shared_memory *memory);
  /* Maps what a descriptor stands for. */
  int (*map)(void *context, int fd, uint64_t offset, size_t size, int protection, void **mapping);
  /* Why what was acquired must not be mapped. */
  const char *(*lease_fault)(const muntin_info *info, int fd);
  /* Why memory that the program made cannot be handed on; its kind, offset and size are those of an offer. */
  const char *(*offer_fault)(void *context, const muntin_memory *memory, bool is_writable);
  /* Where fences are waited for because none goes through: a descriptor that polls others. NULL: they go through. */
  int (*poller)(void *context);
};

extern const struct memory_way muntin__files, muntin__blobs;

struct muntin {
  const muntin_transport *transport;
  const struct memory_way *memory;
  void *context;
  char name[MUNTIN_NAME_SIZE];
  bool reconnects;
  enum link_state link;
  int end_error;     /* why the link is over */
  uint64_t retry_at; /* when to connect again, milliseconds */
  uint32_t retry_wait;
  bool has_lost; /* an event DISCONNECTED is to be told */
  int lost_error;
  int sent_no_more; /* negative errno of the send that said that the hub is gone */
  uint64_t last_serial;

  struct object *objects, *last_object;
  struct object *waiting, *last_waiting;
  size_t retrying;                            /* leases */
  size_t untold;                              /* buffers with an event of their own */
  bool is_fenced;                             /* something waits for a fence */
  bool has_constraints, wait_for_constraints; /* the second: they have to be sent */
  muntin_constraints constraints;

  /* The packet that is being written, or that the hub did not take yet. */
  size_t out_size, out_count;
  bool out_has_request;
  struct descriptor *out_descriptors[MAXIMUM_PACKET_DESCRIPTORS];
  /* The packet that is being read. */
  size_t in_size, in_offset, in_count, in_taken;
  int in_descriptors[MAXIMUM_PACKET_DESCRIPTORS];
  int fence; /* of the event that was given last */

  muntin_statistics statistics;
  char error_text[192];
  char event_text[192];
  muntin_info info;
  muntin_grant_record grant_record;
  muntin_constraints merged;
  uint8_t out[MAXIMUM_PACKET];
  uint8_t in[MAXIMUM_PACKET];
};

/* Notes the words for an error, and returns it. `connection` may be NULL. */
int muntin__fail(muntin *connection, int error, const char *words);
int muntin__fail_with_errno(muntin *connection, const char *call, int error_number);

uint64_t muntin__now(void); /* milliseconds, monotonic */
/* For who fuzzes the library: lets time pass without waiting. */
void muntin__skip_time(uint64_t milliseconds);

/* Objects. */
void muntin__add(muntin *connection, struct object *object, enum object_kind kind);
/* Takes it out of all lists. */
void muntin__remove(struct object *object);
/* It has something to say. */
void muntin__wait_in_line(struct object *object);
struct object *muntin__awaiting(muntin *connection, uint64_t serial);
muntin_buffer *muntin__buffer_by_id(muntin *connection, const uint8_t *id);
/* The one that is held and whose handle is there. */
muntin_lease *muntin__lease_by_id(muntin *connection, const uint8_t *id);

/* Sending. */
/* Room in the packet for a message whose header is written; NULL: not now. Of requests (answered messages) one goes in
 * a packet. */
uint8_t *muntin__write(muntin *connection, uint16_t type, size_t payload, uint64_t serial,
                       struct descriptor *descriptor, bool is_request);
uint64_t muntin__next_serial(muntin *connection);
/* A serial whose answer nobody wants. */
uint64_t muntin__quiet_serial(muntin *connection);
bool muntin__is_quiet(uint64_t serial);
/* Says all there is to say, as far as the hub takes it. */
void muntin__flush(muntin *connection);
/* A request without an object: its payload of zeros, or NULL (the error is noted). Then muntin__flush(). */
uint8_t *muntin__request(muntin *connection, uint16_t type, size_t payload, uint64_t *serial);
/* Whether a selector is complete, and its 152 bytes. */
bool muntin__is_selector(const muntin_selector *selector);
void muntin__put_selector(uint8_t *at, const uint8_t *id, uint32_t owner_kind, const char *owner, const char *name);
/* Whether this names somebody. */
bool muntin__is_party(uint32_t kind, const char *name);
/* Whether the hub can be told something. */
bool muntin__is_linked(const muntin *connection);

/* Say what an object has to say: false if there was no room. */
bool muntin__say_buffer(muntin_buffer *buffer);
bool muntin__say_lease(muntin_lease *lease);
bool muntin__say_grant(muntin_grant *grant);

/* The link came or went. */
void muntin__buffer_linked(muntin_buffer *buffer);
void muntin__lease_linked(muntin_lease *lease);
void muntin__grant_linked(muntin_grant *grant);
/* The hub has the buffer: grants about it can be given. */
void muntin__give_grants_of(muntin_buffer *buffer);
/* The buffer goes: so do the grants about it. */
void muntin__end_grants_of(muntin_buffer *buffer);

void muntin__free_buffer(muntin_buffer *buffer);
void muntin__free_lease(muntin_lease *lease);
void muntin__free_grant(muntin_grant *grant);

/* Receiving: what a message does. */
enum outcome { NO_EVENT, EVENT, BAD_MESSAGE };

struct incoming {
  uint16_t type;
  uint64_t serial;
  const uint8_t *payload;
  size_t size;
  int descriptor; /* -1: none; who takes it sets -1 */
};

/* An ERROR ended the connection. */
enum outcome muntin__ended_by_hub(muntin *connection, int error, const char *words);
enum outcome muntin__handle(muntin *connection, struct incoming *message, muntin_event *event);
/* The hub gave the buffer that connection->info describes, and its descriptor, which is set to -1 when it is taken. */
enum outcome muntin__lease_acquired(muntin_lease *lease, int *descriptor, muntin_event *event);
/* An ERROR answers this lease's request; EVENT unless it tries again. */
enum outcome muntin__lease_refused(muntin_lease *lease, int error, muntin_event *event);
/* Leases that were lost with a hub and whose time has come are asked for again. */
void muntin__retry_leases(muntin *connection);
/* An event that no message brings: a buffer that is free without the hub's word. */
bool muntin__buffer_event(muntin *connection, muntin_event *event);
/* An answer to a buffer's or grant's request. */
enum outcome muntin__buffer_accepted(muntin_buffer *buffer, muntin_event *event);
enum outcome muntin__buffer_refused(muntin_buffer *buffer, muntin_event *event);
enum outcome muntin__grant_accepted(muntin_grant *grant, uint64_t number, muntin_event *event);
enum outcome muntin__grant_refused(muntin_grant *grant, muntin_event *event);
enum outcome muntin__buffer_freed(muntin_buffer *buffer, muntin_event *event);
enum outcome muntin__buffer_taken(muntin_buffer *buffer, uint64_t generation, uint32_t held, muntin_event *event);
enum outcome muntin__buffer_wanted(muntin_buffer *buffer, uint64_t generation, muntin_event *event);
/* When that is, milliseconds; UINT64_MAX: never. */
uint64_t muntin__next_retry(const muntin *connection);

/* One that connects to a path, and one that was connected by somebody else and cannot be again. */
extern const muntin_transport muntin__socket_transport, muntin__adopted_transport;
/* Their context: of the first by the path, of the second by fd; the other is NULL or -1. */
void *muntin__socket_context(const char *path, int fd);
/* One that connects to the hub's end of a guest's graphics card. */
extern const muntin_transport muntin__channel_transport;
/* Its context: the card's path, or an empty text for the first card that has a channel. NULL: without memory, or where
 * there are no such cards. */
void *muntin__channel_context(const char *path);
/* Whether this is a guest whose card has a channel, which may be closed to this user. */
bool muntin__has_channel(void);
/* Closes fd if it is one. */
void muntin__close(int fd);

#endif
