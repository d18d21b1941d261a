import Machine
import VirtioRing

/// virtio by registers in memory (virtio 1.3, 4.2), at the places that QEMU's machines `microvm` and `virt` have.
struct MMIOTransport: Transport {
  private let base: UInt

  #if arch(x86_64)
    private static let first: UInt = 0xfeb0_0000
    private static let count: UInt = 24
  #else
    private static let first: UInt = 0x0a00_0000
    private static let count: UInt = 32
  #endif

  /// The first device of that kind: "virt" in MagicValue, version 2, DeviceID.
  static func find(deviceID: UInt16) -> MMIOTransport? {
    for index in 0..<count {
      let base = first + 0x200 * index
      if machine_load32(base) == 0x7472_6976, machine_load32(base + 4) == 2,
        machine_load32(base + 8) == UInt32(deviceID)
      {
        return MMIOTransport(base: base)
      }
    }
    return nil
  }

  private init(base: UInt) { self.base = base }

  var deviceFeatures: UInt64 {
    machine_store32(base + 0x14, 0)
    let low = machine_load32(base + 0x10)
    machine_store32(base + 0x14, 1)
    return UInt64(low) | UInt64(machine_load32(base + 0x10)) << 32
  }

  func setDriverFeatures(_ features: UInt64) {
    for half: UInt32 in 0...1 {
      machine_store32(base + 0x24, half)
      machine_store32(base + 0x20, UInt32(truncatingIfNeeded: features >> (32 * UInt64(half))))
    }
  }

  var status: DeviceStatus {
    get { DeviceStatus(rawValue: UInt8(truncatingIfNeeded: machine_load32(base + 0x70))) }
    nonmutating set { machine_store32(base + 0x70, UInt32(newValue.rawValue)) }
  }

  func maximumSize(ofQueue index: UInt16) -> UInt32 {
    machine_store32(base + 0x30, UInt32(index))
    return machine_load32(base + 0x34)
  }

  func enable(queue index: UInt16, _ configuration: VirtqueueConfiguration) {
    machine_store32(base + 0x30, UInt32(index))
    machine_store32(base + 0x38, configuration.size)
    store64(0x80, configuration.addresses.descriptors)
    store64(0x90, configuration.addresses.driver)
    store64(0xa0, configuration.addresses.device)
    machine_store32(base + 0x44, 1)
  }

  private func store64(_ offset: UInt, _ value: UInt64) {
    machine_store32(base + offset, UInt32(truncatingIfNeeded: value))
    machine_store32(base + offset + 4, UInt32(truncatingIfNeeded: value >> 32))
  }

  func notify(queue index: UInt16) {
    machine_store32(base + 0x50, UInt32(index))
  }
}
