// What Swift has no words for: accesses that the compiler must not touch, and instructions of one machine.

#ifndef MACHINE_H
#define MACHINE_H

#include <stdint.h>

static inline uint8_t machine_load8(uintptr_t address) { return *(volatile uint8_t *)address; }
static inline uint16_t machine_load16(uintptr_t address) { return *(volatile uint16_t *)address; }
static inline uint32_t machine_load32(uintptr_t address) { return *(volatile uint32_t *)address; }
static inline void machine_store8(uintptr_t address, uint8_t value) { *(volatile uint8_t *)address = value; }
static inline void machine_store16(uintptr_t address, uint16_t value) { *(volatile uint16_t *)address = value; }
static inline void machine_store32(uintptr_t address, uint32_t value) { *(volatile uint32_t *)address = value; }

#if defined(__x86_64__)

static inline uint8_t machine_in8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t machine_in32(uint16_t port) {
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void machine_out8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void machine_out32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

// In a loop that waits for another processor.
static inline void machine_relax(void) { __asm__ volatile("pause"); }

// Until the next interrupt, and none is enabled.
static inline void machine_halt(void) { __asm__ volatile("hlt"); }

#elif defined(__aarch64__)

static inline void machine_relax(void) { __asm__ volatile("yield"); }
static inline void machine_halt(void) { __asm__ volatile("wfi"); }

#endif

// All of RAM that the guest has for itself: between the linker script's two marks.
extern uint8_t machine_heap_start[], machine_heap_end[];

static inline uintptr_t machine_heap_begin(void) { return (uintptr_t)machine_heap_start; }
static inline uintptr_t machine_heap_limit(void) { return (uintptr_t)machine_heap_end; }

#endif
