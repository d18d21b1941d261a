/* Buffers of one's own. */
#include "private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STRIDE_ALIGNMENT = 64, SIDE_HOST = 2, REASON_ALLOCATED = 2, REASON_DRIVER = 4 };

static uint64_t page_size(void) { return (uint64_t)sysconf(_SC_PAGESIZE); }

/* ---- Offering ---- */

static bool have_different_names(const muntin_property *properties, size_t count) {
  for (size_t index = 0; index < count; index++) {
    for (size_t other = 0; other < index; other++) {
      if (strcmp(properties[index].name, properties[other].name) == 0) return false;
    }
  }
  return true;
}

static bool are_properties(const muntin_property *properties, size_t count) {
  if (count > MUNTIN_MAXIMUM_PROPERTIES || (count > 0 && properties == NULL)) return false;
  for (size_t index = 0; index < count; index++) {
    const muntin_property *each = &properties[index];
    bool is_good = muntin__is_text(each->name, sizeof each->name) && each->name[0] != 0 &&
                   muntin__is_text(each->value, sizeof each->value);
    if (!is_good) return false;
  }
  return have_different_names(properties, count);
}

/* Why an offer cannot be made, or NULL. */
static const char *fault(muntin *connection, const muntin_offer *offer) {
  if (offer->name != NULL && !muntin__is_name(offer->name, MUNTIN_NAME_SIZE)) return "bad name";
  if (!are_properties(offer->properties, offer->property_count)) return "bad properties";
  if (offer->id != NULL && muntin__is_zero(offer->id, MUNTIN_ID_SIZE)) return "the zero id means none";
  muntin_buffer *other = offer->id == NULL ? NULL : muntin__buffer_by_id(connection, offer->id);
  return other != NULL && !other->object.is_orphan ? "the id is in use" : NULL;
}

static int make_id(uint8_t *id) {
  int error = muntin__random(id, MUNTIN_ID_SIZE);
  id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
  id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
  return error;
}

/* A buffer without memory yet. */
static int make(muntin *connection, const muntin_offer *offer, muntin_buffer **buffer) {
  const char *why = fault(connection, offer);
  if (why != NULL) return muntin__fail(connection, MUNTIN_ERROR_INVALID, why);
  muntin_layout layout = offer->layout;
  if (layout.stride == 0 && layout.width <= MUNTIN_MAXIMUM_EXTENT) {
    layout.stride = (layout.width * 4 + STRIDE_ALIGNMENT - 1) / STRIDE_ALIGNMENT * STRIDE_ALIGNMENT;
  }
  if (muntin__layout_end(&layout) == 0) return muntin__fail(connection, MUNTIN_ERROR_INVALID, "bad layout");
  if (muntin__images(offer->images) == 0) return muntin__fail(connection, MUNTIN_ERROR_INVALID, "too many images");
  size_t properties = offer->property_count * sizeof(muntin_property);
  muntin_buffer *own = calloc(1, sizeof *own + properties);
  if (own == NULL) return muntin__fail(connection, MUNTIN_ERROR_MEMORY, "out of memory");
  int error = 0;
  if (offer->id != NULL) memcpy(own->id, offer->id, MUNTIN_ID_SIZE);
  else error = make_id(own->id);
  if (error < 0) {
    free(own);
    return muntin__fail_with_errno(connection, "random numbers", -error);
  }
  snprintf(own->name, sizeof own->name, "%s", offer->name == NULL ? "" : offer->name);
  own->layout = layout;
  own->is_writable = offer->writable;
  own->is_idle = true;
  own->images = muntin__images(offer->images);
  own->property_count = offer->property_count;
  if (properties > 0) memcpy(own->properties, offer->properties, properties);
  *buffer = own;
  return MUNTIN_OK;
}

/* Takes over fd. */
static int finish(muntin *connection, muntin_buffer *own, int fd, muntin_buffer **buffer) {
  own->descriptor = muntin__adopt(fd);
  if (own->descriptor == NULL) {
    if (own->mapping != NULL) munmap(own->mapping, own->memory.byte_count);
    free(own);
    return muntin__fail(connection, MUNTIN_ERROR_MEMORY, "out of memory");
  }
  muntin__add(connection, &own->object, OBJECT_BUFFER);
  muntin__wait_in_line(&own->object);
  muntin__flush(connection);
  *buffer = own;
  return MUNTIN_OK;
}

int muntin_buffer_offer(muntin *connection, const muntin_offer *offer, muntin_buffer **buffer) {
  muntin_buffer *own;
  struct shared_memory memory;
  *buffer = NULL;
  int result = make(connection, offer, &own);
  if (result < 0) return result;
  uint64_t page = page_size();
  own->memory.kind = MUNTIN_MEMORY_FILE;
  own->memory.byte_count = (muntin__layout_end(&own->layout) + page - 1) / page * page * own->images;
  int error = own->memory.byte_count > SIZE_MAX / 2
                  ? -ENOMEM
                  : connection->memory->make(connection->context, (size_t)own->memory.byte_count, offer->writable,
                                             &memory);
  if (error < 0) {
    free(own);
    return muntin__fail_with_errno(connection, "shared memory", -error);
  }
  own->mapping = memory.pixels;
  return finish(connection, own, memory.fd, buffer);
}

/* Why this memory cannot be handed on, or NULL. */
static const char *memory_fault(muntin *connection, const muntin_memory *memory, const muntin_buffer *buffer) {
  bool is_file = memory->kind == MUNTIN_MEMORY_FILE;
  if (!is_file && memory->kind != MUNTIN_MEMORY_DMA_BUF) return "unknown kind of memory";
  if (!is_file && !buffer->is_writable) return "whoever has a dma-buf can write: offer it writable";
  if (memory->offset % page_size() != 0 || (!is_file && memory->offset != 0)) return "the offset is not of whole pages";
  if (buffer->images > 1 && memory->byte_count % (buffer->images * page_size()) != 0) return "no equal shares of pages";
  if (muntin__layout_end(&buffer->layout) > memory->byte_count / buffer->images) return "the memory is too small for its layout";
  return connection->memory->offer_fault(connection->context, memory, buffer->is_writable);
}

int muntin_buffer_offer_memory(muntin *connection, const muntin_offer *offer, const muntin_memory *memory,
                               muntin_buffer **buffer) {
  muntin_buffer *own;
  *buffer = NULL;
  int result = make(connection, offer, &own);
  if (result < 0) return result;
  const char *why = memory_fault(connection, memory, own);
  if (why != NULL) {
    free(own);
    return muntin__fail(connection, MUNTIN_ERROR_INVALID, why);
  }
  int copy = fcntl(memory->fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) {
    free(own);
    return muntin__fail_with_errno(connection, "duplicating a descriptor", errno);
  }
  own->memory = *memory;
  return finish(connection, own, copy, buffer);
}

/* ---- What the hub is told ---- */

static bool say_offer(muntin_buffer *buffer) {
  muntin *connection = buffer->object.connection;
  uint64_t serial = muntin__next_serial(connection);
  uint8_t *at = muntin__write(connection, BUFFER_OFFER, OFFER_SIZE + buffer->property_count * PROPERTY_SIZE, serial,
                              buffer->descriptor, true);
  if (at == NULL) return false;
  memcpy(at, buffer->id, MUNTIN_ID_SIZE);
  muntin__put_layout(at + 16, &buffer->layout);
  put32(at + 48, buffer->memory.kind);
  put32(at + 52, SIDE_HOST);
  put32(at + 56, buffer->memory.kind == MUNTIN_MEMORY_FILE ? REASON_ALLOCATED : REASON_DRIVER);
  put64(at + 64, buffer->memory.byte_count);
  put64(at + 72, buffer->memory.offset);
  put_text(at + 80, buffer->name, MUNTIN_NAME_SIZE);
  put32(at + 144, buffer->is_writable ? 1 : 0);
  put32(at + 148, (uint32_t)buffer->property_count);
  put32(at + 152, buffer->images);
  for (size_t index = 0; index < buffer->property_count; index++) {
    uint8_t *property = at + OFFER_SIZE + index * PROPERTY_SIZE;
    put_text(property, buffer->properties[index].name, MUNTIN_PROPERTY_NAME_SIZE);
    put_text(property + MUNTIN_PROPERTY_NAME_SIZE, buffer->properties[index].value, MUNTIN_PROPERTY_VALUE_SIZE);
  }
  buffer->object.serial = serial;
  buffer->state = BUFFER_OFFERING;
  return true;
}

static bool say_update(muntin_buffer *buffer) {
  muntin *connection = buffer->object.connection;
  if (muntin__must_wait(connection, buffer->fence)) return true;
  uint8_t *at = muntin__write(connection, BUFFER_UPDATE, 40, 0, muntin__passed(connection, buffer->fence), false);
  if (at == NULL) return false;
  memcpy(at, buffer->id, MUNTIN_ID_SIZE);
  muntin__put_rectangle(at + 16, &buffer->damage);
  put64(at + 32, buffer->generation);
  muntin__let_go(&buffer->fence);
  buffer->has_update = false;
  buffer->told = buffer->generation;
  return true;
}

static bool say_withdraw(muntin_buffer *buffer) {
  muntin *connection = buffer->object.connection;
  uint8_t *at = muntin__write(connection, BUFFER_WITHDRAW, 16, muntin__quiet_serial(connection), NULL, true);
  if (at == NULL) return false;
  memcpy(at, buffer->id, MUNTIN_ID_SIZE);
  buffer->state = BUFFER_WITHDRAWN;
  if (buffer->object.is_orphan) muntin__free_buffer(buffer);
  return true;
}

bool muntin__say_buffer(muntin_buffer *buffer) {
  switch (buffer->state) {
  case BUFFER_TO_OFFER: return say_offer(buffer);
  case BUFFER_OFFERED: return !buffer->has_update || say_update(buffer);
  case BUFFER_TO_WITHDRAW: return say_withdraw(buffer);
  default: return true;
  }
}

/* ---- What the hub says ---- */

static void to_withdraw(muntin_buffer *buffer) {
  buffer->state = BUFFER_TO_WITHDRAW;
  muntin__wait_in_line(&buffer->object);
}

enum outcome muntin__buffer_accepted(muntin_buffer *buffer, muntin_event *event) {
  if (buffer->state != BUFFER_OFFERING) return NO_EVENT;
  if (buffer->is_withdrawn || buffer->object.is_orphan) {
    to_withdraw(buffer);
    return NO_EVENT;
  }
  buffer->state = BUFFER_OFFERED;
  muntin__give_grants_of(buffer);
  if (buffer->has_update) muntin__wait_in_line(&buffer->object);
  event->kind = MUNTIN_EVENT_OFFERED;
  event->buffer = buffer;
  return EVENT;
}

static void tell_freed(muntin_buffer *buffer) {
  buffer->state = BUFFER_GONE;
  if (!buffer->has_freed_to_tell) buffer->object.connection->untold++;
  buffer->has_freed_to_tell = true;
}

enum outcome muntin__buffer_refused(muntin_buffer *buffer, muntin_event *event) {
  if (buffer->object.is_orphan) {
    muntin__free_buffer(buffer);
    return NO_EVENT;
  }
  if (buffer->is_withdrawn) {
    tell_freed(buffer);
    return NO_EVENT;
  }
  buffer->state = BUFFER_GONE;
  event->buffer = buffer;
  return EVENT;
}

enum outcome muntin__buffer_freed(muntin_buffer *buffer, muntin_event *event) {
  if (buffer->state != BUFFER_WITHDRAWN) return NO_EVENT;
  buffer->state = BUFFER_GONE;
  event->kind = MUNTIN_EVENT_FREED;
  event->buffer = buffer;
  return EVENT;
}

/* What crossed an update is of no interest: that has told everybody. */
enum outcome muntin__buffer_wanted(muntin_buffer *buffer, uint64_t generation, muntin_event *event) {
  bool is_picture = buffer->state == BUFFER_OFFERED && buffer->generation > 0;
  if (!is_picture || buffer->has_update || buffer->told > generation) return NO_EVENT;
  event->kind = MUNTIN_EVENT_WANTED;
  event->buffer = buffer;
  return EVENT;
}

/* Only the newest word counts. An image is given to nobody any more when this is newer than what is in it. */
enum outcome muntin__buffer_taken(muntin_buffer *buffer, uint64_t generation, uint32_t held, muntin_event *event) {
  buffer->acknowledged = generation;
  buffer->held = held;
  event->kind = MUNTIN_EVENT_TAKEN;
  event->buffer = buffer;
  event->generation = generation;
  return EVENT;
}

bool muntin__buffer_event(muntin *connection, muntin_event *event) {
  if (connection->untold == 0) return false;
  for (struct object *each = connection->objects; each != NULL; each = each->next) {
    muntin_buffer *buffer = (muntin_buffer *)each;
    if (each->kind != OBJECT_BUFFER || !buffer->has_freed_to_tell) continue;
    buffer->has_freed_to_tell = false;
    connection->untold--;
    event->kind = MUNTIN_EVENT_FREED;
    event->buffer = buffer;
    return true;
  }
  return false;
}

static muntin_rectangle everything(const muntin_buffer *buffer) {
  return (muntin_rectangle){0, 0, buffer->layout.width, buffer->layout.height};
}

/* Of several images the newest is whole, and a hub that is new to this is told of it; nothing is held any more. */
static void publish_again(muntin_buffer *buffer) {
  uint32_t newest = (uint32_t)(buffer->generation % buffer->images);
  buffer->acknowledged = buffer->held = 0;
  for (uint32_t image = 0; image < buffer->images; image++) {
    if (image != newest) buffer->published[image] = 0;
  }
  buffer->has_update = buffer->generation > 0;
}

/*
 * A hub that is new to this knows nothing of it; leases of before are gone with the old one. What one image shows is not
 * said by itself, since it may be half-drawn: WANTED comes when somebody asks.
 */
void muntin__buffer_linked(muntin_buffer *buffer) {
  if (buffer->object.is_orphan) {
    muntin__free_buffer(buffer);
    return;
  }
  if (buffer->state == BUFFER_GONE) return;
  if (buffer->is_withdrawn) {
    tell_freed(buffer);
    return;
  }
  buffer->state = BUFFER_TO_OFFER;
  buffer->told = 0;
  buffer->damage = everything(buffer);
  if (buffer->images > 1) publish_again(buffer);
  if (!buffer->has_update) buffer->is_idle = true;
  muntin__wait_in_line(&buffer->object);
}

/* ---- Using it ---- */

/* The union; an empty rectangle adds nothing. */
static muntin_rectangle joined(muntin_rectangle a, muntin_rectangle b) {
  if (a.width == 0 || a.height == 0) return b;
  if (b.width == 0 || b.height == 0) return a;
  uint32_t right = a.x + a.width > b.x + b.width ? a.x + a.width : b.x + b.width;
  uint32_t bottom = a.y + a.height > b.y + b.height ? a.y + a.height : b.y + b.height;
  uint32_t x = a.x < b.x ? a.x : b.x, y = a.y < b.y ? a.y : b.y;
  return (muntin_rectangle){x, y, right - x, bottom - y};
}

static muntin_rectangle clipped(muntin_rectangle r, const muntin_layout *layout) {
  if (r.x >= layout->width || r.y >= layout->height) return (muntin_rectangle){0, 0, 0, 0};
  if (r.width > layout->width - r.x) r.width = layout->width - r.x;
  if (r.height > layout->height - r.y) r.height = layout->height - r.y;
  return r;
}

int muntin_buffer_update(muntin_buffer *buffer, const muntin_rectangle *damage, uint64_t generation,
                         int acquire_fence) {
  muntin *connection = buffer->object.connection;
  struct descriptor *fence = NULL;
  int error;
  if (buffer->is_withdrawn || buffer->state == BUFFER_GONE) {
    return muntin__fail(connection, MUNTIN_ERROR_STATE, "the buffer is not offered");
  }
  if (generation == 0) generation = buffer->next > buffer->generation ? buffer->next : buffer->generation + 1;
  if (generation <= buffer->generation)
    return muntin__fail(connection, MUNTIN_ERROR_INVALID, "the generation does not rise");
  if (acquire_fence >= 0 && (fence = muntin__duplicate(acquire_fence, &error)) == NULL) {
    return muntin__fail(connection, error, "this cannot be a fence");
  }
  muntin__let_go(&buffer->fence);
  buffer->fence = fence;
  muntin_rectangle part = damage == NULL ? everything(buffer) : clipped(*damage, &buffer->layout);
  buffer->damage = buffer->has_update ? joined(buffer->damage, part) : part;
  buffer->generation = generation;
  buffer->published[generation % buffer->images] = generation;
  buffer->next = 0;
  buffer->has_update = true;
  buffer->is_idle = false;
  if (buffer->state == BUFFER_OFFERED) muntin__wait_in_line(&buffer->object);
  muntin__flush(connection);
  return MUNTIN_OK;
}

static void drop_update(muntin_buffer *buffer) {
  buffer->has_update = false;
  muntin__let_go(&buffer->fence);
}

int muntin_buffer_withdraw(muntin_buffer *buffer) {
  muntin *connection = buffer->object.connection;
  if (buffer->is_withdrawn || buffer->state == BUFFER_GONE) {
    return muntin__fail(connection, MUNTIN_ERROR_STATE, "the buffer is not offered");
  }
  buffer->is_withdrawn = true;
  drop_update(buffer);
  muntin__end_grants_of(buffer);
  if (!muntin__is_linked(connection) || buffer->state == BUFFER_TO_OFFER) tell_freed(buffer);
  else if (buffer->state == BUFFER_OFFERED) to_withdraw(buffer);
  muntin__flush(connection);
  return MUNTIN_OK;
}

int muntin_buffer_scrub(muntin_buffer *buffer) {
  if (buffer->mapping == NULL) {
    return muntin__fail(buffer->object.connection, MUNTIN_ERROR_STATE, "the memory is the program's own");
  }
  memset(buffer->mapping, 0, (size_t)buffer->memory.byte_count);
  return muntin__punch(buffer->descriptor->fd, 0, buffer->memory.byte_count) ? 1 : 0;
}

/* Whether the hub has to hear, or to answer, before the buffer can be forgotten. */
static bool has_unfinished_business(const muntin_buffer *buffer) {
  return muntin__is_linked(buffer->object.connection) &&
         (buffer->state == BUFFER_OFFERED || buffer->state == BUFFER_OFFERING || buffer->state == BUFFER_TO_WITHDRAW);
}

static void give_memory_back(muntin_buffer *buffer) {
  if (buffer->mapping != NULL) {
    if (buffer->is_still_mapped) muntin_buffer_scrub(buffer);
    munmap(buffer->mapping, (size_t)buffer->memory.byte_count);
  }
  buffer->mapping = NULL;
  muntin__let_go(&buffer->descriptor);
  drop_update(buffer);
}

void muntin_buffer_destroy(muntin_buffer *buffer) {
  if (buffer == NULL) return;
  muntin *connection = buffer->object.connection;
  muntin__end_grants_of(buffer);
  if (!has_unfinished_business(buffer)) {
    muntin__free_buffer(buffer);
    return;
  }
  give_memory_back(buffer);
  buffer->object.is_orphan = true;
  if (buffer->state == BUFFER_OFFERED) to_withdraw(buffer);
  muntin__flush(connection);
}

void muntin__free_buffer(muntin_buffer *buffer) {
  if (buffer->has_freed_to_tell) buffer->object.connection->untold--;
  give_memory_back(buffer);
  muntin__remove(&buffer->object);
  free(buffer);
}

/* ---- Looking at it ---- */

void *muntin_buffer_pixels(const muntin_buffer *buffer) {
  return buffer->mapping == NULL ? NULL : (uint8_t *)buffer->mapping + buffer->layout.offset;
}

void *muntin_buffer_image(const muntin_buffer *buffer, uint64_t generation) {
  uint8_t *first = muntin_buffer_pixels(buffer);
  return first == NULL ? NULL : first + buffer->memory.byte_count / buffer->images * (generation % buffer->images);
}

uint64_t muntin_buffer_next(muntin_buffer *buffer) {
  buffer->next = 0;
  for (uint64_t next = buffer->generation + 1; next <= buffer->generation + buffer->images; next++) {
    uint64_t last = buffer->published[next % buffer->images];
    bool is_held = (buffer->held & UINT32_C(1) << next % buffer->images) != 0;
    if (buffer->images > 1 ? is_held || (last > 0 && last >= buffer->acknowledged) : !buffer->is_idle) continue;
    buffer->next = next;
    break;
  }
  return buffer->next;
}

const muntin_layout *muntin_buffer_layout(const muntin_buffer *buffer) { return &buffer->layout; }

const uint8_t *muntin_buffer_id(const muntin_buffer *buffer) { return buffer->id; }

bool muntin_buffer_is_offered(const muntin_buffer *buffer) { return buffer->state == BUFFER_OFFERED; }

bool muntin_buffer_is_idle(const muntin_buffer *buffer) { return buffer->is_idle; }

uint64_t muntin_buffer_generation(const muntin_buffer *buffer) { return buffer->generation; }

void muntin_buffer_set_data(muntin_buffer *buffer, void *data) { buffer->data = data; }

void *muntin_buffer_data(const muntin_buffer *buffer) { return buffer->data; }
