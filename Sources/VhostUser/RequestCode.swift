/// Requests of a front-end (vhost-user.rst, "Front-end message types").
public enum RequestCode: UInt32, CaseIterable, Sendable {
  case getFeatures = 1
  case setFeatures = 2
  case setOwner = 3
  case resetOwner = 4
  case setMemTable = 5
  case setLogBase = 6
  case setLogFd = 7
  case setVringNum = 8
  case setVringAddr = 9
  case setVringBase = 10
  case getVringBase = 11
  case setVringKick = 12
  case setVringCall = 13
  case setVringErr = 14
  case getProtocolFeatures = 15
  case setProtocolFeatures = 16
  case getQueueNum = 17
  case setVringEnable = 18
  case sendRarp = 19
  case netSetMtu = 20
  case setBackendReqFd = 21
  case iotlbMsg = 22
  case setVringEndian = 23
  case getConfig = 24
  case setConfig = 25
  case createCryptoSession = 26
  case closeCryptoSession = 27
  case postcopyAdvise = 28
  case postcopyListen = 29
  case postcopyEnd = 30
  case getInflightFd = 31
  case setInflightFd = 32
  case gpuSetSocket = 33
  case resetDevice = 34
  case vringKick = 35
  case getMaxMemSlots = 36
  case addMemReg = 37
  case remMemReg = 38
  case setStatus = 39
  case getStatus = 40
  case getSharedObject = 41
  case setDeviceStateFd = 42
  case checkDeviceState = 43
  case getShmemConfig = 44

  /// Whether the request has an answer of its own, NEED_REPLY or not.
  public var hasReply: Bool {
    switch self {
    case .getFeatures, .getProtocolFeatures, .getVringBase, .getQueueNum, .getConfig, .getMaxMemSlots, .getStatus,
      .iotlbMsg, .createCryptoSession, .postcopyAdvise, .postcopyEnd, .getInflightFd, .getSharedObject,
      .setDeviceStateFd, .checkDeviceState, .getShmemConfig:
      true
    default: false
    }
  }

  /// The protocol feature that the request belongs to, for those that this back-end implements.
  public var feature: ProtocolFeatures {
    switch self {
    case .getQueueNum: .multipleQueues
    case .setBackendReqFd: .backendRequests
    case .getConfig, .setConfig: .configuration
    case .resetDevice: .resetDevice
    case .getMaxMemSlots, .addMemReg, .remMemReg: .configureMemorySlots
    case .setStatus, .getStatus: .status
    case .getShmemConfig: .sharedMemory
    default: []
    }
  }
}

/// Requests of a back-end (vhost-user.rst, "Back-end message types").
public enum BackendRequestCode: UInt32, Sendable {
  case iotlbMsg = 1
  case configChange = 2
  case vringHostNotifier = 3
  case vringCall = 4
  case vringErr = 5
  case sharedObjectAdd = 6
  case sharedObjectRemove = 7
  case sharedObjectLookup = 8
  case shmemMap = 9
  case shmemUnmap = 10
}
