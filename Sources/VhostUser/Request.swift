/// One request of a front-end, decoded. Every sequence of bytes decodes to a request or an error.
public enum Request: Equatable, Sendable {
  case getFeatures
  case setFeatures(UInt64)
  case setOwner
  case resetOwner
  case setMemTable([RegionDescription])
  case setVringNum(VringState)
  case setVringAddr(VringAddress)
  case setVringBase(VringState)
  case getVringBase(VringState)
  case setVringKick(VringDescriptor)
  case setVringCall(VringDescriptor)
  case setVringErr(VringDescriptor)
  case getProtocolFeatures
  case setProtocolFeatures(UInt64)
  case getQueueNum
  case setVringEnable(VringState)
  case setBackendReqFd
  case getConfig(ConfigurationAccess)
  case setConfig(ConfigurationAccess)
  case gpuSetSocket
  case resetDevice
  case getMaxMemSlots
  case addMemReg(RegionDescription)
  case remMemReg(RegionDescription)
  case setStatus(UInt64)
  case getStatus
  case getShmemConfig
  /// A request of the specification whose feature is never offered.
  case unsupported(RequestCode)

  /// Decodes a payload. Payloads that should be empty may hold anything, as some front-ends pad them.
  public init(code: RequestCode, payload: UnsafeRawBufferPointer) throws(VhostUserError) {
    var reader = ByteReader(payload)
    guard let request = Self.decode(code, &reader, size: payload.count) else {
      throw .wrongSize(request: code.rawValue, size: UInt32(clamping: payload.count))
    }
    self = request
  }

  private static func decode(_ code: RequestCode, _ reader: inout ByteReader, size: Int) -> Request? {
    switch code {
    case .getFeatures: .getFeatures
    case .setFeatures: exactly(8, size) ? reader.next().map(Request.setFeatures) : nil
    case .setOwner: .setOwner
    case .resetOwner: .resetOwner
    case .setMemTable: decodeTable(&reader).map(Request.setMemTable)
    case .setVringNum: exactly(8, size) ? VringState(&reader).map(Request.setVringNum) : nil
    case .setVringAddr: exactly(40, size) ? VringAddress(&reader).map(Request.setVringAddr) : nil
    case .setVringBase: exactly(8, size) ? VringState(&reader).map(Request.setVringBase) : nil
    case .getVringBase: exactly(8, size) ? VringState(&reader).map(Request.getVringBase) : nil
    case .setVringKick: exactly(8, size) ? decodeVring(&reader).map(Request.setVringKick) : nil
    case .setVringCall: exactly(8, size) ? decodeVring(&reader).map(Request.setVringCall) : nil
    case .setVringErr: exactly(8, size) ? decodeVring(&reader).map(Request.setVringErr) : nil
    case .getProtocolFeatures: .getProtocolFeatures
    case .setProtocolFeatures: exactly(8, size) ? reader.next().map(Request.setProtocolFeatures) : nil
    case .getQueueNum: .getQueueNum
    case .setVringEnable: exactly(8, size) ? VringState(&reader).map(Request.setVringEnable) : nil
    case .setBackendReqFd: .setBackendReqFd
    case .getConfig: ConfigurationAccess(&reader).map(Request.getConfig)
    case .setConfig: decodeWrite(&reader).map(Request.setConfig)
    case .gpuSetSocket: .gpuSetSocket
    case .resetDevice: .resetDevice
    case .getMaxMemSlots: .getMaxMemSlots
    case .addMemReg: exactly(40, size) ? decodeRegion(&reader).map(Request.addMemReg) : nil
    case .remMemReg: exactly(40, size) ? decodeRegion(&reader).map(Request.remMemReg) : nil
    case .setStatus: exactly(8, size) ? reader.next().map(Request.setStatus) : nil
    case .getStatus: .getStatus
    case .getShmemConfig: .getShmemConfig
    case .setLogBase, .setLogFd, .sendRarp, .netSetMtu, .iotlbMsg, .setVringEndian, .createCryptoSession,
      .closeCryptoSession, .postcopyAdvise, .postcopyListen, .postcopyEnd, .getInflightFd, .setInflightFd, .vringKick,
      .getSharedObject, .setDeviceStateFd, .checkDeviceState:
      .unsupported(code)
    }
  }

  private static func exactly(_ wanted: Int, _ size: Int) -> Bool { size == wanted }

  private static func decodeVring(_ reader: inout ByteReader) -> VringDescriptor? {
    reader.next(UInt64.self).map(VringDescriptor.init(word:))
  }

  private static func decodeRegion(_ reader: inout ByteReader) -> RegionDescription? {
    guard reader.next(UInt64.self) != nil else { return nil }
    return RegionDescription(&reader)
  }

  private static func decodeTable(_ reader: inout ByteReader) -> [RegionDescription]? {
    guard let count: UInt32 = reader.next(), reader.next(UInt32.self) != nil,
      count <= VhostUserLimits.tableRegions
    else { return nil }
    var regions: [RegionDescription] = []
    regions.reserveCapacity(Int(count))
    for _ in 0..<count {
      guard let region = RegionDescription(&reader) else { return nil }
      regions.append(region)
    }
    return regions
  }

  private static func decodeWrite(_ reader: inout ByteReader) -> ConfigurationAccess? {
    guard var access = ConfigurationAccess(&reader), access.bytes.count >= access.size else { return nil }
    access.bytes.removeSubrange(Int(access.size)...)
    return access
  }
}

extension Request {
  /// Which request this is.
  public var code: RequestCode {
    switch self {
    case .getFeatures: .getFeatures
    case .setFeatures: .setFeatures
    case .setOwner: .setOwner
    case .resetOwner: .resetOwner
    case .setMemTable: .setMemTable
    case .setVringNum: .setVringNum
    case .setVringAddr: .setVringAddr
    case .setVringBase: .setVringBase
    case .getVringBase: .getVringBase
    case .setVringKick: .setVringKick
    case .setVringCall: .setVringCall
    case .setVringErr: .setVringErr
    case .getProtocolFeatures: .getProtocolFeatures
    case .setProtocolFeatures: .setProtocolFeatures
    case .getQueueNum: .getQueueNum
    case .setVringEnable: .setVringEnable
    case .setBackendReqFd: .setBackendReqFd
    case .getConfig: .getConfig
    case .setConfig: .setConfig
    case .gpuSetSocket: .gpuSetSocket
    case .resetDevice: .resetDevice
    case .getMaxMemSlots: .getMaxMemSlots
    case .addMemReg: .addMemReg
    case .remMemReg: .remMemReg
    case .setStatus: .setStatus
    case .getStatus: .getStatus
    case .getShmemConfig: .getShmemConfig
    case .unsupported(let code): code
    }
  }

  /// Descriptors that belong to the request.
  public var descriptorCount: Int {
    switch self {
    case .setMemTable(let regions): regions.count
    case .setVringKick(let ring), .setVringCall(let ring), .setVringErr(let ring): ring.hasDescriptor ? 1 : 0
    case .addMemReg, .setBackendReqFd, .gpuSetSocket: 1
    default: 0
    }
  }

  /// Appends the payload as a front-end sends it.
  public func encode(into bytes: inout [UInt8]) {
    switch self {
    case .setFeatures(let word), .setProtocolFeatures(let word), .setStatus(let word): bytes.append(word: word)
    case .setMemTable(let regions):
      bytes.append(word: UInt32(clamping: regions.count))
      bytes.append(word: UInt32(0))
      for region in regions { region.encode(into: &bytes) }
    case .setVringNum(let state), .setVringBase(let state), .getVringBase(let state), .setVringEnable(let state):
      state.encode(into: &bytes)
    case .setVringAddr(let address): address.encode(into: &bytes)
    case .setVringKick(let ring), .setVringCall(let ring), .setVringErr(let ring): bytes.append(word: ring.word)
    case .getConfig(let access), .setConfig(let access): access.encode(into: &bytes)
    case .addMemReg(let region), .remMemReg(let region):
      bytes.append(word: UInt64(0))
      region.encode(into: &bytes)
    default: break
    }
  }
}
