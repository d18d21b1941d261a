import Machine
import VirtioRing

#if arch(x86_64)

  /// virtio over PCI (virtio 1.3, 4.1), for machines whose firmware gives the devices their addresses.
  struct PCITransport: Transport {
    private let common: UInt
    private let notification: UInt
    private let notifyOffMultiplier: UInt

    /// The first device of that kind on the first bus.
    static func find(deviceID: UInt16) -> PCITransport? {
      for slot in 0..<32 {
        for function in 0..<8 {
          let place = PCIFunction(slot: UInt32(slot), function: UInt32(function))
          if place.vendor == 0x1af4, place.device == 0x1040 + deviceID { return PCITransport(place) }
        }
      }
      return nil
    }

    /// Finds the structures by the vendor capabilities that name them (4.1.4).
    private init?(_ place: PCIFunction) {
      var common: UInt?
      var notification: (address: UInt, multiplier: UInt)?
      place.enable()
      place.forEachCapability { capability in
        guard place.byte(capability) == 9, let base = place.bar(place.byte(capability + 4)) else { return }
        let address = base + UInt(place.word(capability + 8))
        switch place.byte(capability + 3) {
        case 1: common = common ?? address
        case 2: notification = notification ?? (address, UInt(place.word(capability + 16)))
        default: break
        }
      }
      guard let common, let notification else { return nil }
      self.common = common
      self.notification = notification.address
      notifyOffMultiplier = notification.multiplier
    }

    // MARK: struct virtio_pci_common_cfg (4.1.4.3)

    var deviceFeatures: UInt64 {
      machine_store32(common, 0)
      let low = machine_load32(common + 4)
      machine_store32(common, 1)
      return UInt64(low) | UInt64(machine_load32(common + 4)) << 32
    }

    func setDriverFeatures(_ features: UInt64) {
      for half: UInt32 in 0...1 {
        machine_store32(common + 8, half)
        machine_store32(common + 12, UInt32(truncatingIfNeeded: features >> (32 * UInt64(half))))
      }
    }

    var status: DeviceStatus {
      get { DeviceStatus(rawValue: machine_load8(common + 20)) }
      nonmutating set { machine_store8(common + 20, newValue.rawValue) }
    }

    func maximumSize(ofQueue index: UInt16) -> UInt32 {
      machine_store16(common + 22, index)
      return UInt32(machine_load16(common + 24))
    }

    func enable(queue index: UInt16, _ configuration: VirtqueueConfiguration) {
      machine_store16(common + 22, index)
      machine_store16(common + 24, UInt16(configuration.size))
      store64(32, configuration.addresses.descriptors)
      store64(40, configuration.addresses.driver)
      store64(48, configuration.addresses.device)
      machine_store16(common + 28, 1)
    }

    private func store64(_ offset: UInt, _ value: UInt64) {
      machine_store32(common + offset, UInt32(truncatingIfNeeded: value))
      machine_store32(common + offset + 4, UInt32(truncatingIfNeeded: value >> 32))
    }

    func notify(queue index: UInt16) {
      machine_store16(common + 22, index)
      machine_store16(notification + UInt(machine_load16(common + 30)) * notifyOffMultiplier, index)
    }
  }

  /// The configuration space of one function on the first bus, by the ports of the PC.
  private struct PCIFunction {
    let slot: UInt32
    let function: UInt32

    private func select(_ offset: UInt8) {
      machine_out32(0xcf8, 0x8000_0000 | slot << 11 | function << 8 | UInt32(offset & ~3))
    }

    func word(_ offset: UInt8) -> UInt32 {
      select(offset)
      return machine_in32(0xcfc)
    }

    func byte(_ offset: UInt8) -> UInt8 {
      UInt8(truncatingIfNeeded: word(offset) >> (8 * UInt32(offset & 3)))
    }

    var vendor: UInt16 { UInt16(truncatingIfNeeded: word(0)) }
    var device: UInt16 { UInt16(truncatingIfNeeded: word(0) >> 16) }

    /// Memory accesses of both directions.
    func enable() {
      let command = word(4)
      select(4)
      machine_out32(0xcfc, command & 0xffff | 1 << 1 | 1 << 2)
    }

    /// Where a base address register points; nil for ports, or one that was given no address.
    func bar(_ index: UInt8) -> UInt? {
      guard index < 6 else { return nil }
      let low = word(0x10 + 4 * index)
      guard low & 1 == 0, low & ~15 != 0 || low & 6 == 4 else { return nil }
      let high = low & 6 == 4 && index < 5 ? word(0x14 + 4 * index) : 0
      return UInt(low & ~15) | UInt(high) << 32
    }

    /// Calls `body` with the place of each capability, of at most as many as there is room for.
    func forEachCapability(_ body: (UInt8) -> Void) {
      guard word(4) >> 16 & 1 << 4 != 0 else { return }
      var place = byte(0x34) & ~3
      var rest = 48
      while place >= 0x40, place <= 0xec, rest > 0 {
        body(place)
        place = byte(place + 1) & ~3
        rest -= 1
      }
    }
  }

#endif
