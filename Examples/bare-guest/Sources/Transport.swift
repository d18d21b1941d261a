import VirtioRing

/// How a driver reaches a virtio device of version 1 (virtio 1.3, 4): over PCI or by registers in memory.
protocol Transport {
  /// The device's features (2.2).
  var deviceFeatures: UInt64 { get }
  /// What the driver takes of them.
  func setDriverFeatures(_ features: UInt64)
  /// `device_status` (2.1).
  var status: DeviceStatus { get nonmutating set }
  /// The most descriptors of a queue; 0 when there is no such queue.
  func maximumSize(ofQueue index: UInt16) -> UInt32
  /// Tells the device where a ring lies, and that it may be used.
  func enable(queue index: UInt16, _ configuration: VirtqueueConfiguration)
  /// Tells the device to look at a queue.
  func notify(queue index: UInt16)
}

/// `device_status` (virtio 1.3, 2.1).
struct DeviceStatus: OptionSet {
  let rawValue: UInt8

  static var acknowledge: DeviceStatus { DeviceStatus(rawValue: 1) }
  static var driver: DeviceStatus { DeviceStatus(rawValue: 2) }
  static var driverOK: DeviceStatus { DeviceStatus(rawValue: 4) }
  static var featuresOK: DeviceStatus { DeviceStatus(rawValue: 8) }
}

extension Transport {
  /// Steps 1 to 6 of 3.1.1; the features that are in use now. Queues come next, then ``go()``.
  func negotiate(wanted: UInt64) throws(GuestError) -> UInt64 {
    status = []
    while !status.isEmpty {}
    status = .acknowledge
    status = [.acknowledge, .driver]
    let features = deviceFeatures & wanted
    guard features & RingFeature.version1 != 0 else { throw .legacyDevice }
    setDriverFeatures(features)
    status = [.acknowledge, .driver, .featuresOK]
    guard status.contains(.featuresOK) else { throw .featuresRefused }
    return features
  }

  /// The device may work from here on.
  func go() {
    status = [.acknowledge, .driver, .featuresOK, .driverOK]
  }
}
