import Machine

/// The first serial port: a 16550 at COM1 (PC) or a PL011 (QEMU's aarch64 `virt`).
enum Serial {
  static func write(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { write(byte: text.utf8Start[index]) }
  }

  /// In decimal.
  static func write(_ number: UInt32) {
    if number > 9 { write(number / 10) }
    write(byte: 0x30 + UInt8(number % 10))
  }

  #if arch(x86_64)
    private static let port: UInt16 = 0x3f8

    private static func write(byte: UInt8) {
      while machine_in8(port + 5) & 0x20 == 0 { machine_relax() }
      machine_out8(port, byte)
    }
  #else
    private static let base: UInt = 0x0900_0000

    private static func write(byte: UInt8) {
      while machine_load32(base + 0x18) & 0x20 != 0 { machine_relax() }
      machine_store32(base, UInt32(byte))
    }
  #endif
}
