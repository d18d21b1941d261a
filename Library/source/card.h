/* A guest's virtio-gpu card: requests to the kernel's driver. Each gives 0 or more, or a negative errno. */
#ifndef MUNTIN_CARD_H
#define MUNTIN_CARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that the card knows: its number for this open file, and towards the host. */
struct blob {
  uint32_t handle, resource;
};

/* Opens the card at a path, or (path empty) the first one that has a channel to the host's hub. It does not block.
 * -ENOENT: there is none. */
int muntin__open_card(const char *path);
/* Makes the open file a context for channels, in which fences of polled commands become events to read. */
int muntin__start_context(int card);
/* Gives commands to the context; polled: a fence goes with them. */
int muntin__submit(int card, const void *commands, size_t size, bool is_polled);
/* Takes an event that is there: -EAGAIN: there is none. */
int muntin__take_event(int card);

/* Pages of this VM. */
int muntin__make_guest_blob(int card, size_t size, struct blob *blob);
/* Memory of the host's: new, or (number above 0) what the host has said that the number stands for. */
int muntin__make_host_blob(int card, size_t size, uint64_t number, struct blob *blob);
/* -ENOMEM also when the host refused what was made. */
int muntin__map_blob(int card, const struct blob *blob, size_t size, int protection, void **bytes);
/* A dma-buf of it: a new descriptor. */
int muntin__export_blob(int card, const struct blob *blob);
/* What a dma-buf of the card's is; -EINVAL if it is something else than memory of the host's. */
int muntin__import_blob(int card, int fd, struct blob *blob);
/* This open file needs it no more; mappings and dma-bufs stay. */
void muntin__forget_blob(int card, const struct blob *blob);

#endif
