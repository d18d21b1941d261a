/*
 * A guest's way to the hub: a CROSS_DOMAIN context of its graphics card. Each SEND and RECEIVE carries one message, and
 * a blob in the place of a descriptor. Towards the rest of this library a blob is a dma-buf, which the card makes and
 * knows again.
 */
#include "private.h"

#if MUNTIN_SYSTEM_LINUX

#include "card.h"
#include "cross_domain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct channel_context {
  char path[64]; /* of the card; empty: the first that has a channel */
  int card; /* stays open when the hub goes: what is mapped keeps its context anyway, and a new one would be one more */
  int poller; /* of the card and of fences that something waits for */
  uint8_t *query, *ring; /* mapped; the first is there because the protocol wants one */
  uint32_t query_resource, ring_resource;
  bool is_over; /* the host has said so: the context can begin anew */
};

void *muntin__channel_context(const char *path) {
  struct channel_context *own = calloc(1, sizeof *own);
  if (own == NULL) return NULL;
  own->card = -1;
  own->poller = muntin__make_poller();
  if (own->poller < 0) {
    free(own);
    return NULL;
  }
  snprintf(own->path, sizeof own->path, "%s", path);
  return own;
}

bool muntin__has_channel(void) {
  int card = muntin__open_card("");
  muntin__close(card);
  return card >= 0 || card == -EACCES;
}

/* ---- Sending ---- */

/* Asks the card to say when there is something: then the open file has an event. What the ring holds is taken before. */
static int poll_ring(struct channel_context *own) {
  uint8_t command[CROSS_DOMAIN_POLL_SIZE];
  memset(own->ring, 0, CROSS_DOMAIN_RING_SIZE);
  muntin__put_poll(command);
  return muntin__submit(own->card, command, sizeof command, true);
}

static int send_message(struct channel_context *own, const uint8_t *message, size_t size, const int *descriptor) {
  uint8_t command[CROSS_DOMAIN_RING_SIZE];
  struct blob blob = {0, 0};
  if (descriptor != NULL) {
    int result = muntin__import_blob(own->card, *descriptor, &blob);
    if (result < 0) return result;
  }
  size_t length = muntin__put_send(command, message, size, blob.resource);
  int result = length == 0 ? -EMSGSIZE : muntin__submit(own->card, command, length, false);
  if (descriptor != NULL) muntin__forget_blob(own->card, &blob);
  return result;
}

static int channel_send(void *context, const void *bytes, size_t size, const int *descriptors, size_t count) {
  struct channel_context *own = context;
  const uint8_t *packet = bytes;
  for (size_t offset = 0, taken = 0; offset < size;) {
    struct header header = muntin__get_header(packet + offset);
    bool has_descriptor = header.flags == FLAG_DESCRIPTOR && taken < count;
    int result = send_message(own, packet + offset, header.length, has_descriptor ? &descriptors[taken] : NULL);
    if (result < 0) return result;
    taken += has_descriptor;
    offset += header.length;
  }
  return 0;
}

/* ---- Receiving ---- */

/* A descriptor of what a number of the host's stands for. */
static int take_blob(struct channel_context *own, uint32_t number, uint32_t size) {
  struct blob blob;
  int result = muntin__make_host_blob(own->card, size, number, &blob);
  if (result < 0) return result;
  int fd = muntin__export_blob(own->card, &blob);
  muntin__forget_blob(own->card, &blob);
  return fd;
}

/* What is of meaning for the card alone: the blob begins with the buffer's first byte, wherever that is in the host's
 * file, and whether it is a copy is the card's business. */
static void forget_what_is_the_cards(uint8_t *message, size_t size) {
  enum { OFFSET = HEADER_SIZE + 72, FORM = HEADER_SIZE + 244 };
  if (size < FORM + 4) return;
  uint16_t type = muntin__get_header(message).type;
  if (type == ACQUIRED) put64(message + OFFSET, 0);
  if (type == ACQUIRED || type == BUFFER_INFO) put32(message + FORM, 0);
}

/* Makes a packet of an entry: its length, 0 at the channel's end. *count: as in muntin_transport. */
static ssize_t take(struct channel_context *own, const uint8_t *entry, void *bytes, size_t room, int *descriptors,
                    size_t *count) {
  struct received received;
  bool has_room = *count > 0;
  *count = 0;
  bool is_good = muntin__get_received(entry, &received) && received.size <= room && (has_room || !received.has_blob);
  if (!is_good) return -EMSGSIZE;
  memcpy(bytes, received.message, received.size);
  forget_what_is_the_cards(bytes, received.size);
  if (!received.has_blob) return (ssize_t)received.size;
  int fd = take_blob(own, received.blob_number, received.blob_size);
  if (fd < 0) return fd;
  descriptors[0] = fd;
  *count = 1;
  return (ssize_t)received.size;
}

static ssize_t channel_receive(void *context, void *bytes, size_t room, int *descriptors, size_t *count) {
  struct channel_context *own = context;
  uint8_t entry[CROSS_DOMAIN_RING_SIZE];
  int result = muntin__take_event(own->card);
  if (result == 0) {
    memcpy(entry, own->ring, sizeof entry);
    own->is_over = muntin__is_end(entry);
    /* Asked at once, so that the open file tells of the next one as a socket would. */
    if (!own->is_over) result = poll_ring(own);
  }
  if (result == 0 && !own->is_over) return take(own, entry, bytes, room, descriptors, count);
  *count = 0;
  return result;
}

/* ---- Connecting ---- */

static int channel_descriptor(void *context) { return ((struct channel_context *)context)->poller; }

static void unmap(uint8_t **ring) {
  if (*ring != NULL) munmap(*ring, CROSS_DOMAIN_RING_SIZE);
  *ring = NULL;
}

static void close_card(struct channel_context *own) {
  unmap(&own->query);
  unmap(&own->ring);
  /* What is still mapped keeps it open, and so watched. */
  if (own->card >= 0) muntin__unwatch(own->poller, own->card);
  muntin__close(own->card);
  own->card = -1;
  own->is_over = false;
}

/* The way that this program ends a channel, if the host has not, is to close the card. */
static void channel_disconnect(void *context) {
  struct channel_context *own = context;
  if (!own->is_over) close_card(own);
}

/* Its handle stays for as long as the card is open, because the host writes to it. */
static int make_ring(int card, uint8_t **bytes, uint32_t *resource) {
  struct blob blob;
  void *mapping;
  int result = muntin__make_guest_blob(card, CROSS_DOMAIN_RING_SIZE, &blob);
  if (result < 0) return result;
  result = muntin__map_blob(card, &blob, CROSS_DOMAIN_RING_SIZE, PROT_READ | PROT_WRITE, &mapping);
  if (result < 0) return result;
  *bytes = mapping;
  *resource = blob.resource;
  return 0;
}

static int make_context(struct channel_context *own) {
  int result = muntin__start_context(own->card);
  if (result == 0) result = make_ring(own->card, &own->query, &own->query_resource);
  if (result == 0) result = make_ring(own->card, &own->ring, &own->ring_resource);
  return result;
}

static int start(struct channel_context *own) {
  uint8_t command[CROSS_DOMAIN_INIT_SIZE];
  muntin__put_init(command, own->query_resource, own->ring_resource);
  int result = muntin__submit(own->card, command, sizeof command, false);
  return result < 0 ? result : poll_ring(own);
}

static int channel_connect(void *context) {
  struct channel_context *own = context;
  int result = 0;
  if (own->card < 0) {
    own->card = muntin__open_card(own->path);
    if (own->card < 0) return own->card;
    result = muntin__watch(own->poller, own->card);
    if (result == 0) result = make_context(own);
  }
  own->is_over = false;
  if (result == 0) result = start(own);
  if (result < 0) close_card(own);
  return result;
}

static void channel_destroy(void *context) {
  struct channel_context *own = context;
  close_card(own);
  muntin__close(own->poller);
  free(own);
}

const muntin_transport muntin__channel_transport = {
    .connect = channel_connect,
    .send = channel_send,
    .receive = channel_receive,
    .descriptor = channel_descriptor,
    .disconnect = channel_disconnect,
    .destroy = channel_destroy,
};

/* ---- Memory ---- */

static int map_made(int card, const struct blob *blob, size_t size, struct shared_memory *memory) {
  int result = muntin__map_blob(card, blob, size, PROT_READ | PROT_WRITE, &memory->pixels);
  if (result < 0) return result;
  memory->fd = muntin__export_blob(card, blob);
  if (memory->fd >= 0) return 0;
  munmap(memory->pixels, size);
  return memory->fd;
}

/* The card, which has to be open and a context: for the time being another one than the channel's, while there is none. */
static int use_card(struct channel_context *own) {
  if (own->card >= 0) return own->card;
  int card = muntin__open_card(own->path);
  int result = card < 0 ? card : muntin__start_context(card);
  if (result >= 0) return card;
  muntin__close(card);
  return result;
}

static void leave_card(struct channel_context *own, int card) {
  if (card != own->card) muntin__close(card);
}

/* Who may write it is the card's to say. */
static int channel_make(void *context, size_t size, bool is_writable, struct shared_memory *memory) {
  struct channel_context *own = context;
  struct blob blob;
  (void)is_writable;
  int card = use_card(own);
  int result = card < 0 ? card : muntin__make_host_blob(card, size, 0, &blob);
  if (result == 0) {
    result = map_made(card, &blob, size, memory);
    muntin__forget_blob(card, &blob);
  }
  leave_card(own, card);
  return result;
}

static int channel_map(void *context, int fd, uint64_t offset, size_t size, int protection, void **mapping) {
  struct channel_context *own = context;
  struct blob blob;
  if (offset != 0) return -EINVAL;
  int card = use_card(own);
  int result = card < 0 ? card : muntin__import_blob(card, fd, &blob);
  if (result == 0) {
    result = muntin__map_blob(card, &blob, size, protection, mapping);
    muntin__forget_blob(card, &blob);
  }
  leave_card(own, card);
  return result;
}

static const char *lease_fault(const muntin_info *info, int fd) {
  off_t size = lseek(fd, 0, SEEK_END);
  return size < 0 || info->byte_count > (uint64_t)size ? "shorter than it says" : NULL;
}

static const char *offer_fault(void *context, const muntin_memory *memory, bool is_writable) {
  struct channel_context *own = context;
  struct blob blob;
  (void)is_writable;
  if (memory->kind != MUNTIN_MEMORY_DMA_BUF || memory->offset != 0) return "a guest offers dma-bufs of its card";
  off_t size = lseek(memory->fd, 0, SEEK_END);
  if (size < 0 || memory->byte_count > (uint64_t)size) return "the memory is shorter than it says";
  int card = use_card(own);
  int result = card < 0 ? card : muntin__import_blob(card, memory->fd, &blob);
  if (result == 0) muntin__forget_blob(card, &blob);
  leave_card(own, card);
  return result < 0 ? "not memory of the host's, of this card" : NULL;
}

const struct memory_way muntin__blobs = {.make = channel_make,
                                         .map = channel_map,
                                         .lease_fault = lease_fault,
                                         .offer_fault = offer_fault,
                                         .poller = channel_descriptor};

#else

const muntin_transport muntin__channel_transport = {0};
const struct memory_way muntin__blobs = {0};

void *muntin__channel_context(const char *path) {
  (void)path;
  return NULL;
}

bool muntin__has_channel(void) { return false; }

#endif
