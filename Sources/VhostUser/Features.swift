import Virtqueue

/// `VHOST_USER_F_PROTOCOL_FEATURES`: the feature bit that says that protocol features exist
/// (vhost-user.rst, "Communication").
public let protocolFeaturesBit: UInt64 = 1 << 30

/// Protocol features (vhost-user.rst, "Protocol features"), those this project speaks.
public struct ProtocolFeatures: OptionSet, Hashable, Sendable {
  /// The bits as they travel.
  public let rawValue: UInt64

  /// Wraps the bits.
  public init(rawValue: UInt64) {
    self.rawValue = rawValue
  }

  /// GET_QUEUE_NUM exists.
  public static let multipleQueues = ProtocolFeatures(rawValue: 1 << 0)
  /// NEED_REPLY is answered.
  public static let replyAck = ProtocolFeatures(rawValue: 1 << 3)
  /// SET_BACKEND_REQ_FD exists.
  public static let backendRequests = ProtocolFeatures(rawValue: 1 << 5)
  /// GET_CONFIG and SET_CONFIG exist.
  public static let configuration = ProtocolFeatures(rawValue: 1 << 9)
  /// The back-end may send descriptors with its requests.
  public static let backendSendsDescriptors = ProtocolFeatures(rawValue: 1 << 10)
  /// RESET_DEVICE exists.
  public static let resetDevice = ProtocolFeatures(rawValue: 1 << 13)
  /// GET_MAX_MEM_SLOTS, ADD_MEM_REG and REM_MEM_REG exist.
  public static let configureMemorySlots = ProtocolFeatures(rawValue: 1 << 15)
  /// SET_STATUS and GET_STATUS exist.
  public static let status = ProtocolFeatures(rawValue: 1 << 16)

  /// GET_SHMEM_CONFIG, SHMEM_MAP and SHMEM_UNMAP exist.
  public static let sharedMemory = ProtocolFeatures(rawValue: 1 << 22)

  /// Everything that the back-end implements.
  public static let all: ProtocolFeatures = [
    .multipleQueues, .replyAck, .backendRequests, .configuration, .backendSendsDescriptors, .resetDevice,
    .configureMemorySlots, .status, .sharedMemory,
  ]

  /// What a window needs: requests of the back-end with descriptors, and answers to them.
  static let window: ProtocolFeatures = [.sharedMemory, .backendRequests, .backendSendsDescriptors, .replyAck]

  /// What is offered for a device out of what may be.
  ///
  /// A device with shared memory regions does without memory slots: QEMU 11.1.3 crashes when it resets a machine whose
  /// back-end has settled on them while memory is mapped.
  func offered(for device: any VirtioDevice) -> ProtocolFeatures {
    let hasRegions = !device.sharedMemoryRegions.isEmpty && contains(.sharedMemory)
    return subtracting(hasRegions ? .configureMemorySlots : .sharedMemory)
  }
}

/// Bounds on what a peer may ask for.
public enum VhostUserLimits {
  /// Payload bytes of one message. The largest that a front-end sends here is SET_MEM_TABLE with 32 regions.
  public static let payloadBytes = 4096
  /// Descriptors with one message; more are closed on arrival.
  public static let descriptors = 32
  /// Regions in one SET_MEM_TABLE.
  public static let tableRegions = 32
  /// Regions altogether (the answer to GET_MAX_MEM_SLOTS).
  public static let memorySlots = 509
  /// Largest ring (virtio 1.3, 2.7 and 2.8).
  public static let ringSize: UInt32 = 32768
  /// Shared memory regions that a front-end has room for (`VIRTIO_MAX_SHMEM_REGIONS` of QEMU).
  public static let sharedMemoryRegions = 256
  /// Changes of shared memory that wait for the front-end.
  public static let pendingWindowChanges = 8192
  /// Bytes of configuration space that can be addressed (`VHOST_USER_MAX_CONFIG_SIZE` of QEMU).
  public static let configurationBytes = 256
}
