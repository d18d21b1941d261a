// From QEMU's `virt` machine (EL1, no translation) to guest_main.
//
// Physical and virtual addresses are the same. Without translation every access would be one to a device: no unaligned
// words, no atomics. So 1 GiB of device registers and 3 GiB of memory are mapped, in blocks of 1 GiB.

    .section .text.start, "ax", @progbits
    .globl start
start:
    mrs x0, mpidr_el1           // one processor is enough
    and x0, x0, #0xff
    cbnz x0, halt

    mov x0, #(3 << 20)          // floating point and vectors
    msr cpacr_el1, x0
    isb

    ldr x0, =bss_start
    ldr x1, =bss_end
1:  cmp x0, x1
    b.hs 2f
    str xzr, [x0], #8
    b 1b

2:  ldr x0, =blocks
    ldr x1, =0x0060000000000401 // device, never code, accessed, block
    str x1, [x0]
    ldr x1, =0x0000000040000705 // memory, shared by all, accessed, block
    mov x2, #0x40000000
    mov x3, #3
3:  str x1, [x0, #8]!
    add x1, x1, x2
    subs x3, x3, #1
    b.ne 3b

    ldr x0, =0xff00             // 0: device nGnRnE; 1: memory, write-back
    msr mair_el1, x0
    ldr x0, =0x0000000100803519 // 39 bits, 4 KiB granule, write-back tables, upper half off, 36 physical bits
    msr tcr_el1, x0
    ldr x0, =blocks
    msr ttbr0_el1, x0
    dsb sy
    tlbi vmalle1
    dsb sy
    isb
    mrs x0, sctlr_el1
    mov x1, #(1 << 12 | 1 << 2 | 1)
    orr x0, x0, x1              // instruction cache, data cache, translation
    msr sctlr_el1, x0
    isb

    ldr x0, =stack_end
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    bl guest_main
halt:
    wfi
    b halt

    .section .bss.tables, "aw", @nobits
    .balign 4096
blocks:
    .skip 4096
    .balign 16
    .skip 65536
stack_end:

    .section .note.GNU-stack, "", @progbits
