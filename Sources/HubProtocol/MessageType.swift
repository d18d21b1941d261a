/// The number of each message (protocol.md sections 2 to 5, 8, 10 and 12).
public enum MessageType: UInt16, Sendable, CaseIterable {
  case hello = 0x0001
  case welcome = 0x0002
  case error = 0x0003

  case bufferRegister = 0x0101
  case bufferUnregister = 0x0102
  case scanoutSet = 0x0103
  case flush = 0x0104
  case cursorSet = 0x0105
  case cursorMove = 0x0106
  case vmState = 0x0107
  case producerLinkReady = 0x0120
  case linkRoute = 0x0121
  case flushesLinked = 0x0122
  case producerLink = 0x0130
  case linkScanouts = 0x0131
  case flushesWanted = 0x0132
  case linkDamage = 0x0138
  case memoryRegister = 0x0108
  case memoryUnregister = 0x0109
  case vmLedger = 0x010a
  case flushLatched = 0x0181
  case scanoutMode = 0x0182
  case bufferFreed = 0x0183
  case scanoutRequirements = 0x0184
  case bufferRevoked = 0x0185

  case displayAnnounce = 0x0201
  case frameRegister = 0x0202
  case layerLatched = 0x0203
  case bufferRelease = 0x0204
  case layerRecall = 0x0205
  case consumerConstraints = 0x0206
  case consumerLinkReady = 0x0220
  case consumerLink = 0x0230
  case linkLatched = 0x0238
  case layerSet = 0x0281
  case layerRemove = 0x0282
  case layerContent = 0x0283
  case layerDamage = 0x0284
  case layerCursor = 0x0285
  case layerCursorMove = 0x0286
  case bufferRetired = 0x0287
  case layersSettled = 0x0288
  case memorySet = 0x0289
  case memoryRemove = 0x028a

  case list = 0x0301
  case screenshot = 0x0302
  case listEnd = 0x0381
  case vmRecord = 0x0382
  case bufferRecord = 0x0383
  case displayRecord = 0x0384
  case clientRecord = 0x0385
  case frame = 0x0386

  case bufferOffer = 0x0401
  case bufferWithdraw = 0x0402
  case bufferUpdate = 0x0403
  case acquire = 0x0404
  case release = 0x0405
  case done = 0x0406
  case lookup = 0x0407
  case query = 0x0408
  case partyConstraints = 0x0409
  case requirements = 0x040a
  case grant = 0x040b
  case revoke = 0x040c
  case grants = 0x040d
  case cancel = 0x040e
  case accepted = 0x0481
  case acquired = 0x0482
  case updated = 0x0483
  case revoked = 0x0484
  case retired = 0x0485
  case requirementsMerged = 0x0486
  case bufferInfo = 0x0487
  case queryEnd = 0x0488
  case bufferDone = 0x0489
  case grantRecord = 0x048a
  case bufferWanted = 0x048b
  case bufferTaken = 0x048c
  case view = 0x0490
  case screens = 0x0491
  case screenInfo = 0x0492

  /// Whether such a message carries a descriptor.
  enum DescriptorRule {
    case none, one, optional
  }

  var descriptorRule: DescriptorRule {
    switch self {
    case .bufferRegister, .frameRegister, .frame, .memoryRegister, .memorySet, .producerLink, .consumerLink,
      .bufferOffer, .acquired:
      .one
    case .layerContent, .bufferUpdate, .done, .updated, .bufferDone: .optional
    default: .none
    }
  }
}

/// The 16 bytes before each message (protocol.md section 1).
struct MessageHeader: Equatable {
  static let descriptorFlag: UInt16 = 1

  var type: UInt16
  var flags: UInt16
  var length: UInt32
  var serial: UInt64

  var carriesDescriptor: Bool { flags & Self.descriptorFlag != 0 }

  init(type: MessageType, carriesDescriptor: Bool, byteCount: Int, serial: UInt64) {
    self.type = type.rawValue
    flags = carriesDescriptor ? Self.descriptorFlag : 0
    length = UInt32(byteCount)
    self.serial = serial
  }

  /// The header at the start of `bytes`, the rest of a packet.
  init(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) {
    guard bytes.count >= Wire.headerByteCount else { throw .cutShort(byteCount: bytes.count) }
    type = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt16.self))
    flags = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self))
    length = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    serial = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    guard length >= UInt32(Wire.headerByteCount), length % 8 == 0, UInt64(length) <= UInt64(bytes.count) else {
      throw .badLength(length)
    }
    guard flags & ~Self.descriptorFlag == 0 else { throw .badFlags(flags) }
  }

  func write(to writer: inout WireWriter) {
    writer.u16(type)
    writer.u16(flags)
    writer.u32(length)
    writer.u64(serial)
  }
}
