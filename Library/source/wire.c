#include "wire.h"

struct header muntin__get_header(const uint8_t *at) {
  return (struct header){get16(at), get16(at + 2), get32(at + 4), get64(at + 8)};
}

void muntin__put_header(uint8_t *at, uint16_t type, bool has_descriptor, size_t payload, uint64_t serial) {
  put16(at, type);
  put16(at + 2, has_descriptor ? FLAG_DESCRIPTOR : 0);
  put32(at + 4, (uint32_t)(HEADER_SIZE + payload));
  put64(at + 8, serial);
}

bool muntin__is_zero(const uint8_t *at, size_t size) {
  for (size_t index = 0; index < size; index++) {
    if (at[index] != 0) return false;
  }
  return true;
}

static bool is_known_format(uint32_t format) {
  static const uint32_t known[] = {MUNTIN_XRGB8888, MUNTIN_ARGB8888, MUNTIN_XBGR8888, MUNTIN_ABGR8888,
                                   MUNTIN_BGRX8888, MUNTIN_BGRA8888, MUNTIN_RGBX8888, MUNTIN_RGBA8888};
  for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
    if (known[index] == format) return true;
  }
  return false;
}

uint64_t muntin__layout_end(const muntin_layout *layout) {
  bool has_extent = layout->width > 0 && layout->height > 0 && layout->width <= MUNTIN_MAXIMUM_EXTENT &&
                    layout->height <= MUNTIN_MAXIMUM_EXTENT;
  if (!has_extent || layout->modifier != 0 || !is_known_format(layout->format)) return 0;
  uint64_t row = (uint64_t)layout->width * 4;
  if (layout->stride < row) return 0;
  uint64_t pixels = (uint64_t)layout->stride * (layout->height - 1) + row;
  return layout->offset > INT64_MAX - pixels ? 0 : layout->offset + pixels;
}

void muntin__put_layout(uint8_t *at, const muntin_layout *layout) {
  put32(at, layout->width);
  put32(at + 4, layout->height);
  put32(at + 8, layout->format);
  put32(at + 12, layout->stride);
  put64(at + 16, layout->offset);
  put64(at + 24, layout->modifier);
}

bool muntin__get_layout(const uint8_t *at, muntin_layout *layout) {
  *layout = (muntin_layout){get32(at), get32(at + 4), get32(at + 8), get32(at + 12), get64(at + 16), get64(at + 24)};
  return muntin__layout_end(layout) != 0;
}

void muntin__put_rectangle(uint8_t *at, const muntin_rectangle *rectangle) {
  put32(at, rectangle->x);
  put32(at + 4, rectangle->y);
  put32(at + 8, rectangle->width);
  put32(at + 12, rectangle->height);
}

muntin_rectangle muntin__get_rectangle(const uint8_t *at) {
  return (muntin_rectangle){get32(at), get32(at + 4), get32(at + 8), get32(at + 12)};
}

void muntin__put_party(uint8_t *at, uint32_t kind, const char *name) {
  put32(at, kind);
  put32(at + 4, 0);
  put_text(at + 8, name == NULL ? "" : name, MUNTIN_NAME_SIZE);
}

bool muntin__get_party(const uint8_t *at, muntin_party *party) {
  party->kind = get32(at);
  if (party->kind < MUNTIN_VM || party->kind > MUNTIN_DISPLAY || get32(at + 4) != 0) return false;
  return muntin__get_text(at + 8, party->name, MUNTIN_NAME_SIZE) && muntin__is_name(party->name, MUNTIN_NAME_SIZE);
}

/* A name, or nothing. */
static bool get_optional_name(const uint8_t *at, char *name) {
  if (!muntin__get_text(at, name, MUNTIN_NAME_SIZE)) return false;
  return name[0] == 0 || muntin__is_name(name, MUNTIN_NAME_SIZE);
}

enum { CONTIGUOUS = 1, HAS_FORMATS = 2, HAS_MODIFIERS = 4 };

void muntin__put_constraints(uint8_t *at, const muntin_constraints *c) {
  const uint32_t words[7] = {c->stride_alignment, c->offset_alignment, c->width_multiple, c->height_multiple,
                             c->maximum_width,    c->maximum_height,   c->maximum_stride};
  memset(at, 0, CONSTRAINTS_SIZE);
  for (size_t index = 0; index < 7; index++) put32(at + 4 * index, words[index]);
  put32(at + 28, (c->contiguous ? CONTIGUOUS : 0) | (c->format_count > 0 ? HAS_FORMATS : 0) |
                     (c->modifier_count > 0 ? HAS_MODIFIERS : 0));
  put32(at + 32, c->cacheability);
  put32(at + 36, c->memory_kinds);
  put32(at + 40, c->format_count);
  put32(at + 44, c->modifier_count);
  for (size_t index = 0; index < c->format_count; index++) put32(at + 48 + 4 * index, c->formats[index]);
  for (size_t index = 0; index < c->modifier_count; index++) put64(at + 176 + 8 * index, c->modifiers[index]);
}

bool muntin__get_constraints(const uint8_t *at, muntin_constraints *c) {
  uint32_t flags = get32(at + 28);
  *c = (muntin_constraints){
      .stride_alignment = get32(at),
      .offset_alignment = get32(at + 4),
      .width_multiple = get32(at + 8),
      .height_multiple = get32(at + 12),
      .maximum_width = get32(at + 16),
      .maximum_height = get32(at + 20),
      .maximum_stride = get32(at + 24),
      .contiguous = (flags & CONTIGUOUS) != 0,
      .cacheability = get32(at + 32),
      .memory_kinds = get32(at + 36),
      .format_count = get32(at + 40),
      .modifier_count = get32(at + 44),
  };
  if (flags > 7 || c->format_count > MUNTIN_MAXIMUM_FORMATS || c->modifier_count > MUNTIN_MAXIMUM_MODIFIERS)
    return false;
  if ((c->format_count > 0) != ((flags & HAS_FORMATS) != 0)) return false;
  if ((c->modifier_count > 0) != ((flags & HAS_MODIFIERS) != 0)) return false;
  for (size_t index = 0; index < c->format_count; index++) c->formats[index] = get32(at + 48 + 4 * index);
  for (size_t index = 0; index < c->modifier_count; index++) c->modifiers[index] = get64(at + 176 + 8 * index);
  return true;
}

static bool get_properties(const uint8_t *at, muntin_info *info) {
  for (size_t index = 0; index < info->property_count; index++, at += PROPERTY_SIZE) {
    muntin_property *property = &info->properties[index];
    if (!muntin__get_text(at, property->name, sizeof property->name) || property->name[0] == 0) return false;
    if (!muntin__get_text(at + sizeof property->name, property->value, sizeof property->value)) return false;
  }
  return true;
}

uint32_t muntin__images(uint32_t count) { return count == 0 ? 1 : count <= MUNTIN_MAXIMUM_IMAGES ? count : 0; }

enum { READ_FORMS = 3 }; /* in which a VM may read: of meaning for its graphics card */

bool muntin__get_info(const uint8_t *at, size_t size, muntin_info *info) {
  if (size < INFO_SIZE) return false;
  *info = (muntin_info){
      .memory_kind = get32(at + 48),
      .allocation_side = get32(at + 52),
      .reason = get32(at + 56),
      .byte_count = get64(at + 64),
      .memory_offset = get64(at + 72),
      .generation = get64(at + 216),
      .state = get32(at + 224),
      .access = get32(at + 228),
      .leases = get32(at + 232),
      .images = muntin__images(get32(at + 240)),
      .property_count = get32(at + 236),
  };
  memcpy(info->id, at, MUNTIN_ID_SIZE);
  if (info->property_count > MUNTIN_MAXIMUM_PROPERTIES) return false;
  if (size != INFO_SIZE + (size_t)info->property_count * PROPERTY_SIZE) return false;
  if (muntin__is_zero(info->id, MUNTIN_ID_SIZE) || get32(at + 60) != 0 || get32(at + 244) > READ_FORMS) return false;
  if (info->images == 0) return false;
  if (info->access < MUNTIN_READ || info->access > MUNTIN_READ_WRITE) return false;
  if (info->byte_count > INT64_MAX || info->memory_offset > INT64_MAX - info->byte_count) return false;
  if (!muntin__get_layout(at + 16, &info->layout) || muntin__layout_end(&info->layout) > info->byte_count / info->images)
    return false;
  return muntin__get_party(at + 80, &info->owner) && get_optional_name(at + 152, info->name) &&
         get_properties(at + INFO_SIZE, info);
}

bool muntin__get_grant_record(const uint8_t *at, muntin_grant_record *record) {
  uint32_t flags = get32(at + 12);
  *record = (muntin_grant_record){.number = get64(at), .access = get32(at + 8) & 0xffff, .is_permanent = (flags & 1) != 0};
  record->display = (int32_t)(get32(at + 8) >> 16) - 1;
  memcpy(record->id, at + 160, MUNTIN_ID_SIZE);
  record->has_id = !muntin__is_zero(record->id, MUNTIN_ID_SIZE);
  if (flags > (READ_FORMS << 1 | 1) || record->access < MUNTIN_READ || record->access > MUNTIN_READ_WRITE) return false;
  return muntin__get_party(at + 16, &record->owner) && muntin__get_party(at + 88, &record->grantee) &&
         get_optional_name(at + 176, record->name) && get64(at + 240) == 0;
}
