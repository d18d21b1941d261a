/*
 * libmuntin: take part in Muntin as an application: give pictures to others, use those of others.
 *
 * Nothing here blocks, except muntin_wait(); nothing raises a signal or ends the process. One connection is used by one
 * thread at a time; several connections are independent of each other. Documentation/libmuntin.md is the way in,
 * Documentation/protocol.md (sections 8 and 9) the reference for what the words mean.
 *
 * Functions that return int give 0 or a positive result, or a negative muntin_error; muntin_last_error() has the words.
 */
#ifndef MUNTIN_H
#define MUNTIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MUNTIN_API __attribute__((visibility("default")))
#else
#define MUNTIN_API
#endif

#define MUNTIN_VERSION_MAJOR 0
#define MUNTIN_VERSION_MINOR 1

/* ---- Values ---- */

enum {
  MUNTIN_NAME_SIZE = 64, /* of a name with its final zero */
  MUNTIN_PROPERTY_NAME_SIZE = 32,
  MUNTIN_PROPERTY_VALUE_SIZE = 96,
  MUNTIN_ID_SIZE = 16,
  MUNTIN_ID_TEXT_SIZE = 37, /* of an id as text with its final zero */
  MUNTIN_MAXIMUM_PROPERTIES = 16,
  MUNTIN_MAXIMUM_EXTENT = 16384, /* pixels */
  MUNTIN_MAXIMUM_FORMATS = 32,
  MUNTIN_MAXIMUM_MODIFIERS = 16,
  MUNTIN_MAXIMUM_PARTIES = 16,
  MUNTIN_MAXIMUM_IMAGES = 3
};

/* Formats of pixels: DRM fourcc. The letters name a little-endian 32-bit word from its most significant byte down. */
#define MUNTIN_FOURCC(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define MUNTIN_XRGB8888 MUNTIN_FOURCC('X', 'R', '2', '4') /* bytes B, G, R, unused */
#define MUNTIN_ARGB8888 MUNTIN_FOURCC('A', 'R', '2', '4') /* bytes B, G, R, A */
#define MUNTIN_XBGR8888 MUNTIN_FOURCC('X', 'B', '2', '4') /* bytes R, G, B, unused */
#define MUNTIN_ABGR8888 MUNTIN_FOURCC('A', 'B', '2', '4') /* bytes R, G, B, A */
#define MUNTIN_BGRX8888 MUNTIN_FOURCC('B', 'X', '2', '4') /* bytes unused, R, G, B */
#define MUNTIN_BGRA8888 MUNTIN_FOURCC('B', 'A', '2', '4') /* bytes A, R, G, B */
#define MUNTIN_RGBX8888 MUNTIN_FOURCC('R', 'X', '2', '4') /* bytes unused, B, G, R */
#define MUNTIN_RGBA8888 MUNTIN_FOURCC('R', 'A', '2', '4') /* bytes A, B, G, R */

/* What went wrong. */
typedef enum muntin_error {
  MUNTIN_OK = 0,
  /* The hub's words, as in the protocol. */
  MUNTIN_ERROR_MALFORMED = -1,
  MUNTIN_ERROR_VERSION = -2,
  MUNTIN_ERROR_NOT_PERMITTED = -3,
  MUNTIN_ERROR_NAME_IN_USE = -4,
  MUNTIN_ERROR_LIMIT = -5,
  MUNTIN_ERROR_BAD_BUFFER = -6,
  MUNTIN_ERROR_UNKNOWN_OBJECT = -7,
  MUNTIN_ERROR_NOT_FOUND = -8,
  MUNTIN_ERROR_OVER_LIMIT = -9,
  MUNTIN_ERROR_DISAGREEMENT = -10,
  MUNTIN_ERROR_NAME_TAKEN = -11,
  MUNTIN_ERROR_REVOKED = -12,
  /* This library's own. */
  MUNTIN_ERROR_INVALID = -100,  /* an argument is wrong */
  MUNTIN_ERROR_MEMORY = -101,   /* out of memory */
  MUNTIN_ERROR_SYSTEM = -102,   /* a system call failed */
  MUNTIN_ERROR_NO_HUB = -103,   /* nobody listens there */
  MUNTIN_ERROR_HUNG_UP = -104,  /* the hub went away */
  MUNTIN_ERROR_BAD_PEER = -105, /* the hub said what the protocol does not allow */
  MUNTIN_ERROR_BUSY = -106,     /* nothing can be sent now: try again after muntin_dispatch() */
  MUNTIN_ERROR_STATE = -107     /* not in the state that this needs */
} muntin_error;

/* A fixed text for an error. Never NULL. */
MUNTIN_API const char *muntin_error_text(int error);

typedef struct muntin_rectangle {
  uint32_t x, y, width, height;
} muntin_rectangle;

/* Where pixels are in a buffer's bytes. */
typedef struct muntin_layout {
  uint32_t width, height; /* pixels */
  uint32_t format;        /* MUNTIN_XRGB8888 ... */
  uint32_t stride;        /* bytes from one row to the next; in an offer 0: the library chooses */
  uint64_t offset;        /* of the first pixel */
  uint64_t modifier;      /* 0: linear */
} muntin_layout;

/* A free-form property of a buffer. */
typedef struct muntin_property {
  char name[MUNTIN_PROPERTY_NAME_SIZE];
  char value[MUNTIN_PROPERTY_VALUE_SIZE];
} muntin_property;

typedef enum muntin_party_kind {
  MUNTIN_NOBODY = 0,
  MUNTIN_VM = 1,
  MUNTIN_APPLICATION = 2,
  MUNTIN_DISPLAY = 3
} muntin_party_kind;

/* Somebody by kind and name. */
typedef struct muntin_party {
  uint32_t kind; /* muntin_party_kind */
  char name[MUNTIN_NAME_SIZE];
} muntin_party;

typedef enum muntin_memory_kind { MUNTIN_MEMORY_FILE = 1, MUNTIN_MEMORY_DMA_BUF = 2 } muntin_memory_kind;

typedef enum muntin_access { MUNTIN_READ = 1, MUNTIN_READ_WRITE = 2 } muntin_access;

typedef enum muntin_buffer_state {
  MUNTIN_REGISTERED = 1, /* offered */
  MUNTIN_IN_USE = 2,     /* somebody has a lease */
  MUNTIN_RETIRED = 3,    /* taken back, not yet let go by all */
  MUNTIN_SHARED = 4      /* granted, nobody has a lease */
} muntin_buffer_state;

/* What the hub says of a buffer. */
typedef struct muntin_info {
  uint8_t id[MUNTIN_ID_SIZE];
  muntin_layout layout;
  uint32_t memory_kind;     /* muntin_memory_kind */
  uint32_t allocation_side; /* 1: the guest's pages, 2: the host's */
  uint32_t reason;          /* why its memory is of that kind: protocol.md */
  uint64_t byte_count;
  uint64_t memory_offset; /* in the memory file */
  muntin_party owner;
  char name[MUNTIN_NAME_SIZE]; /* empty: none */
  uint64_t generation;
  uint32_t state;  /* muntin_buffer_state */
  uint32_t access; /* muntin_access */
  uint32_t leases;
  uint32_t images; /* of this layout in the memory: generation g is in image g % images */
  uint32_t property_count;
  muntin_property properties[MUNTIN_MAXIMUM_PROPERTIES];
} muntin_info;

/* The value of a property, or NULL. */
MUNTIN_API const char *muntin_info_property(const muntin_info *info, const char *name);

/* What somebody can use. 0 or an empty list: no constraint. */
typedef struct muntin_constraints {
  uint32_t stride_alignment, offset_alignment; /* bytes */
  uint32_t width_multiple, height_multiple;    /* pixels */
  uint32_t maximum_width, maximum_height;      /* pixels */
  uint32_t maximum_stride;                     /* bytes */
  bool contiguous;
  uint32_t cacheability; /* sum of: 1 cached, 2 write-combined, 4 uncached */
  uint32_t memory_kinds; /* sum of muntin_memory_kind */
  uint32_t format_count, modifier_count;
  uint32_t formats[MUNTIN_MAXIMUM_FORMATS];
  uint64_t modifiers[MUNTIN_MAXIMUM_MODIFIERS];
} muntin_constraints;

/* A buffer's id as text, 8-4-4-4-12. */
MUNTIN_API void muntin_id_to_text(const uint8_t id[MUNTIN_ID_SIZE], char text[MUNTIN_ID_TEXT_SIZE]);
/* The id that a text says; MUNTIN_ERROR_INVALID if it says none. */
MUNTIN_API int muntin_id_from_text(const char *text, uint8_t id[MUNTIN_ID_SIZE]);

/* ---- The connection ---- */

typedef struct muntin muntin;               /* a connection to the hub */
typedef struct muntin_buffer muntin_buffer; /* a buffer of one's own */
typedef struct muntin_lease muntin_lease;   /* a buffer of somebody else's that one uses */
typedef struct muntin_grant muntin_grant;   /* a right that one gave */

typedef struct muntin_options {
  const char *name; /* of this application: 1 to 63 bytes of UTF-8 */
  /*
   * Of the hub's socket; NULL: $MUNTIN_HUB, $XDG_RUNTIME_DIR/muntin/hub.sock, /run/muntin/hub.sock. "drm:PATH" in a
   * guest: its graphics card, such as drm:/dev/dri/renderD128, or "drm:" the first that has a channel to the host's hub.
   * So it is with NULL, too, where $MUNTIN_HUB is not set and there is no socket. By a card everything is done in the
   * name of the VM, whatever the name above.
   */
  const char *path;
  /*
   * Come back when the hub goes away: connect again (after 50 ms, doubling to 1 s), offer one's buffers again, acquire
   * again what one had a lease of, give one's grants again. Then muntin_open() succeeds without a hub, too.
   */
  bool reconnect;
} muntin_options;

/*
 * Connects. What follows may be called at once; MUNTIN_EVENT_CONNECTED tells when the hub has said welcome.
 * On failure *connection is NULL; errno says more about MUNTIN_ERROR_NO_HUB and MUNTIN_ERROR_SYSTEM.
 */
MUNTIN_API int muntin_open(const muntin_options *options, muntin **connection);

/* Ends the connection and all its buffers, leases and grants; unmaps their memory. NULL is allowed. */
MUNTIN_API void muntin_close(muntin *connection);

/* The words for the last error that a function on this connection returned. Never NULL. */
MUNTIN_API const char *muntin_last_error(const muntin *connection);

/*
 * For an event loop: poll this descriptor for these events, at most for this time, and then call muntin_dispatch()
 * until it returns 0. All three may change with every call: the descriptor is -1 while there is no hub, the time -1 if
 * there is none. (A poll set that keeps state, such as epoll's, wants the descriptor again after
 * MUNTIN_EVENT_CONNECTED.)
 */
MUNTIN_API int muntin_fd(const muntin *connection);
MUNTIN_API short muntin_poll_events(const muntin *connection);
MUNTIN_API int muntin_timeout(const muntin *connection); /* milliseconds */

/* For programs without an event loop: waits until muntin_dispatch() is worth calling, at most `milliseconds` (-1: as
 * long as it takes). 1: it is; 0: the time is over, or a signal came. */
MUNTIN_API int muntin_wait(muntin *connection, int milliseconds);

typedef enum muntin_event_kind {
  /* The link. */
  MUNTIN_EVENT_CONNECTED = 1, /* number: the hub's instance, another one after a restart */
  MUNTIN_EVENT_DISCONNECTED,  /* error, text; milliseconds until the next try, 0: never */
  /* Answers to requests; serial. */
  MUNTIN_EVENT_REFUSED,      /* error, text; buffer, lease or grant if it was about one */
  MUNTIN_EVENT_OFFERED,      /* buffer: the hub has it. Again after a reconnect */
  MUNTIN_EVENT_ACQUIRED,     /* lease, info: the lease has begun. Again after a reconnect: map it again */
  MUNTIN_EVENT_GRANTED,      /* grant, number */
  MUNTIN_EVENT_ACCEPTED,     /* of muntin_set_constraints() and muntin_revoke_number() */
  MUNTIN_EVENT_INFO,         /* info: of muntin_lookup(), or one of muntin_list() */
  MUNTIN_EVENT_GRANT_RECORD, /* grant_record: one of muntin_list_grants() */
  MUNTIN_EVENT_LIST_END,     /* count; number: the cursor to go on with, 0: that was all */
  MUNTIN_EVENT_REQUIREMENTS, /* constraints: the merged set */
  /* To who uses a buffer. */
  MUNTIN_EVENT_UPDATED, /* lease, damage (all since the last such event), generation, has_fence: acquire fence */
  MUNTIN_EVENT_REVOKED, /* lease: the right to it ended; release it within milliseconds */
  MUNTIN_EVENT_RETIRED, /* lease: its owner took it back or is gone; release it within milliseconds */
  /* To a buffer's owner. */
  MUNTIN_EVENT_DONE,        /* buffer, generation, holder, remaining, has_fence: release fence */
  MUNTIN_EVENT_FREED,       /* buffer: withdrawn, and nobody reads it any more */
  MUNTIN_EVENT_STILL_MAPPED, /* buffer: a holder did not let go in time; see muntin_buffer_scrub() */
  /*
   * buffer: somebody new waits for a whole picture, which is the next update. Unless it is being drawn just now, give an
   * update without damage: muntin_buffer_update(buffer, &(muntin_rectangle){0}, 0, -1). Of one image only.
   */
  MUNTIN_EVENT_WANTED,
  MUNTIN_EVENT_TAKEN /* buffer (of several images), generation: there may be an image to draw into, see muntin_buffer_next() */
} muntin_event_kind;

typedef struct muntin_grant_record {
  uint64_t number;
  uint32_t access;   /* muntin_access */
  bool is_permanent; /* from the configuration */
  muntin_party owner, grantee;
  bool has_id;
  uint8_t id[MUNTIN_ID_SIZE];
  char name[MUNTIN_NAME_SIZE]; /* empty without an id: all that the owner has */
  int32_t display;             /* what this screen of the owner shows; -1: buffers */
} muntin_grant_record;

/* What happened. Fields that the kind does not name are zero. The pointers hold until the next muntin_dispatch(). */
typedef struct muntin_event {
  muntin_event_kind kind;
  int error;
  const char *text; /* for people; never NULL */
  uint64_t serial;
  muntin_buffer *buffer;
  muntin_lease *lease;
  muntin_grant *grant;
  const muntin_info *info;
  const muntin_grant_record *grant_record;
  const muntin_constraints *constraints;
  muntin_rectangle damage;
  uint64_t generation;
  uint64_t number;
  uint32_t count;
  uint32_t milliseconds;
  uint32_t holder;    /* number of a lease; 0: nobody has a lease with updates */
  uint32_t remaining; /* leases with updates that have not read the newest generation; 0: draw again */
  bool has_fence;     /* muntin_take_fence() */
} muntin_event;

/*
 * Sends what waits, receives, and gives the next event. 1: *event is filled; 0: nothing more now; negative: the
 * connection has ended for good (without reconnect, or because the hub refuses this program), and only muntin_close()
 * is left.
 */
MUNTIN_API int muntin_dispatch(muntin *connection, muntin_event *event);

/*
 * The fence of the event that muntin_dispatch() just gave: a descriptor that becomes readable when the fence is
 * ready; the caller closes it. -1 if there is none or it was taken. What is not taken is closed at the next
 * muntin_dispatch().
 */
MUNTIN_API int muntin_take_fence(muntin *connection);

typedef struct muntin_statistics {
  uint64_t packets_sent, packets_received, messages_received;
  uint64_t bad_packets;        /* that ended a connection */
  uint64_t descriptors_closed; /* that came with bad packets, or that nobody wanted any more */
  uint64_t connections;        /* that got as far as the hub's welcome */
} muntin_statistics;

MUNTIN_API void muntin_get_statistics(const muntin *connection, muntin_statistics *statistics);

/* ---- One's own buffers ---- */

typedef struct muntin_offer {
  const uint8_t *id; /* 16 bytes, or NULL: a random one is made */
  muntin_layout layout;
  const char *name; /* of one's own choice, NULL: found by id only */
  const muntin_property *properties;
  size_t property_count;
  bool writable; /* so that write access can be granted; without it nobody but the owner can ever write */
  /* How many images the memory holds, at most 3 (0: one): with several a reader keeps one while the next is drawn. They
   * are one behind the other in equal shares of whole pages. */
  uint32_t images;
} muntin_offer;

/* Memory that the program made by itself. The descriptor stays the caller's. */
typedef struct muntin_memory {
  muntin_memory_kind kind;
  /* (In a guest only dma-bufs of the card's, of the host's memory.)
   * A file: sealed against any change of size, not writable for other users (fchmod 0644), and opened read-only unless
   * the offer is writable. A dma-buf can only be offered writable. */
  int fd;
  uint64_t offset, byte_count; /* whole pages; offset 0 for a dma-buf */
} muntin_memory;

/* Makes zeroed shared memory of that layout and offers it. The handle may be used at once. In a guest the memory is the
 * host's. */
MUNTIN_API int muntin_buffer_offer(muntin *connection, const muntin_offer *offer, muntin_buffer **buffer);
/* The same with memory of one's own. */
MUNTIN_API int muntin_buffer_offer_memory(muntin *connection, const muntin_offer *offer, const muntin_memory *memory,
                                          muntin_buffer **buffer);

/* The first pixel (of the first image), to draw; NULL for memory of one's own. */
MUNTIN_API void *muntin_buffer_pixels(const muntin_buffer *buffer);
/* The first pixel of the image that a generation is in; NULL for memory of one's own. */
MUNTIN_API void *muntin_buffer_image(const muntin_buffer *buffer, uint64_t generation);
/*
 * The generation to draw now, into its image, without being seen by anybody: with several images it may leave numbers
 * out. Bring up to date all that changed since that image was drawn. 0: everything is read or was just given away; ask
 * again after MUNTIN_EVENT_TAKEN (of one image: DONE).
 */
MUNTIN_API uint64_t muntin_buffer_next(muntin_buffer *buffer);
/* The layout with its stride filled in. */
MUNTIN_API const muntin_layout *muntin_buffer_layout(const muntin_buffer *buffer);
MUNTIN_API const uint8_t *muntin_buffer_id(const muntin_buffer *buffer);
/* Whether the hub has accepted it on this connection. */
MUNTIN_API bool muntin_buffer_is_offered(const muntin_buffer *buffer);
/* Whether everybody has read the newest generation: the time to draw one image again where readers must not see half a
 * frame. */
MUNTIN_API bool muntin_buffer_is_idle(const muntin_buffer *buffer);
/* The newest generation, 0 before the first update. */
MUNTIN_API uint64_t muntin_buffer_generation(const muntin_buffer *buffer);

/*
 * Tells all who use it that pixels changed: damage (NULL: everything) since the last update, and a generation, above all
 * before (0: what muntin_buffer_next() said, else the next one). acquire_fence: a pollable descriptor (eventfd, sync_file) that becomes readable when the pixels may be read;
 * stays the caller's; -1: they may be read at once. Never fails for want of room: updates not sent yet are merged.
 */
MUNTIN_API int muntin_buffer_update(muntin_buffer *buffer, const muntin_rectangle *damage, uint64_t generation,
                                    int acquire_fence);

/* Takes the buffer back from everybody; MUNTIN_EVENT_FREED follows when the last one has let go. The handle stays. */
MUNTIN_API int muntin_buffer_withdraw(muntin_buffer *buffer);
/* Fills the memory with zeros, and gives its pages back to the system where it can (1: done, 0: zeros only). */
MUNTIN_API int muntin_buffer_scrub(muntin_buffer *buffer);
/* Takes it back if that has not been done, unmaps it, and ends the handle. NULL is allowed. */
MUNTIN_API void muntin_buffer_destroy(muntin_buffer *buffer);

MUNTIN_API void muntin_buffer_set_data(muntin_buffer *buffer, void *data);
MUNTIN_API void *muntin_buffer_data(const muntin_buffer *buffer);

/* ---- Buffers of others ---- */

/* Which buffer: by id, or (id NULL) by owner and name. */
typedef struct muntin_selector {
  const uint8_t *id;
  muntin_party_kind owner_kind;
  const char *owner;
  const char *name;
} muntin_selector;

enum {
  /* Tell me when its pixels change; I say muntin_lease_done(). The first picture that is whole is that of the first
   * MUNTIN_EVENT_UPDATED: what it shows before may be half-drawn. Of several images each is as it was until
   * muntin_lease_done(), and then comes the next. */
  MUNTIN_UPDATES = 1,
  /* By name: be patient until there is such a buffer and a right to it. muntin_lease_release() ends that, too. */
  MUNTIN_WAIT_FOR_IT = 2,
  /* With MUNTIN_UPDATES: I go on showing what I said muntin_lease_done() of until I say it of a newer generation. */
  MUNTIN_KEEPS = 4
};

/* Begins a lease; MUNTIN_EVENT_ACQUIRED or MUNTIN_EVENT_REFUSED follows. flags: MUNTIN_UPDATES | MUNTIN_WAIT_FOR_IT |
 * MUNTIN_KEEPS. */
MUNTIN_API int muntin_lease_acquire(muntin *connection, const muntin_selector *selector, muntin_access access,
                                    uint32_t flags, muntin_lease **lease);

/* What was acquired, NULL before. */
MUNTIN_API const muntin_info *muntin_lease_info(const muntin_lease *lease);
/*
 * Maps it as the access says; *pixels is the first pixel of the newest picture that MUNTIN_EVENT_UPDATED told of: call it
 * for each. After a reconnect the pixels may be elsewhere, and what *pixels was before is unmapped then.
 */
MUNTIN_API int muntin_lease_map(muntin_lease *lease, void **pixels);
/* The descriptor of its memory, to import it elsewhere; stays the library's; -1 before it is acquired. In a guest it is a
 * dma-buf of the card's, which only drivers can use: mmap() of it fails. */
MUNTIN_API int muntin_lease_fd(const muntin_lease *lease);
/* Says that this generation was read and is not read any more (once release_fence is ready, which stays the caller's;
 * -1: now). */
MUNTIN_API int muntin_lease_done(muntin_lease *lease, uint64_t generation, int release_fence);
/* Unmaps it, ends the lease and the handle. NULL is allowed. */
MUNTIN_API void muntin_lease_release(muntin_lease *lease);

MUNTIN_API void muntin_lease_set_data(muntin_lease *lease, void *data);
MUNTIN_API void *muntin_lease_data(const muntin_lease *lease);

/* Asks for a buffer without acquiring it: MUNTIN_EVENT_INFO or MUNTIN_EVENT_REFUSED with this serial (or NULL). */
MUNTIN_API int muntin_lookup(muntin *connection, const muntin_selector *selector, uint64_t *serial);

/* What muntin_list() shows. Zero or NULL: any. */
typedef struct muntin_filter {
  uint32_t access; /* muntin_access that one must have; 0: MUNTIN_READ */
  uint32_t format;
  muntin_party_kind owner_kind;
  const char *owner;
  const char *name;
  const char *property, *value;
} muntin_filter;

/* Lists what one may acquire or owns, from a cursor on (0: the beginning): events INFO, then LIST_END. filter may be
 * NULL. */
MUNTIN_API int muntin_list(muntin *connection, const muntin_filter *filter, uint64_t cursor, uint64_t *serial);

/* ---- Rights ---- */

typedef struct muntin_right {
  const muntin_buffer *buffer; /* this one, */
  const char *name;            /* or all of this name, now or later, or (both NULL) all that one has */
  muntin_party_kind grantee_kind;
  const char *grantee;
  muntin_access access;
} muntin_right;

/* Gives a right to one's own buffers; MUNTIN_EVENT_GRANTED follows. */
MUNTIN_API int muntin_grant_give(muntin *connection, const muntin_right *right, muntin_grant **grant);
/* Takes the right back and ends the handle. NULL is allowed. */
MUNTIN_API void muntin_grant_revoke(muntin_grant *grant);
/* Takes back a right by its number, which muntin_list_grants() tells. */
MUNTIN_API int muntin_revoke_number(muntin *connection, uint64_t number, uint64_t *serial);
/* Lists the rights that one gave or got: events GRANT_RECORD, then LIST_END. */
MUNTIN_API int muntin_list_grants(muntin *connection, uint64_t cursor, uint64_t *serial);

/* ---- Constraints ---- */

/* Says what this program can use of others; kept, and said again after a reconnect. NULL: anything. */
MUNTIN_API int muntin_set_constraints(muntin *connection, const muntin_constraints *constraints);
/* Asks what a buffer must be like so that all these parties can use it: REQUIREMENTS, or REFUSED with who disagrees. */
MUNTIN_API int muntin_require(muntin *connection, const muntin_party *parties, size_t count, uint64_t *serial);

/* ---- Other ways to the hub ---- */

/*
 * Packets with descriptors, in order, none lost, none joined. Errors are negative errno values. All functions get the
 * context; none blocks.
 */
typedef struct muntin_transport {
  /* Makes a fresh connection; NULL if there is one already and no other can be made. */
  int (*connect)(void *context);
  /* Sends a packet; -EAGAIN: not now. The descriptors stay the caller's. */
  int (*send)(void *context, const void *bytes, size_t byte_count, const int *descriptors, size_t descriptor_count);
  /* Receives a packet: its length, 0 if the connection has ended, -EAGAIN if there is none, -EMSGSIZE if it is longer
   * than `room` or has too many descriptors. *descriptor_count: room, then how many came, which are the caller's in any
   * case. */
  ssize_t (*receive)(void *context, void *bytes, size_t room, int *descriptors, size_t *descriptor_count);
  /* What to poll, -1 if there is nothing. */
  int (*descriptor)(void *context);
  void (*disconnect)(void *context);
  /* Frees the context; may be NULL. */
  void (*destroy)(void *context);
} muntin_transport;

/* Like muntin_open(), over a transport of one's own (connected, if it has no `connect`), which stays valid until the
 * end. */
MUNTIN_API int muntin_open_transport(const muntin_options *options, const muntin_transport *transport, void *context,
                                     muntin **connection);
/* Like muntin_open(), over a connected socket of type SOCK_SEQPACKET, which becomes the library's, also on failure. */
MUNTIN_API int muntin_open_socket(const muntin_options *options, int socket, muntin **connection);

#ifdef __cplusplus
}
#endif
#endif
