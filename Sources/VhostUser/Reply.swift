import Virtqueue

/// What a back-end answers.
enum Reply {
  /// Nothing, unless the front-end asked for an acknowledgement.
  case acknowledge
  case word(UInt64)
  case state(VringState)
  case configuration(ConfigurationAccess)
  case sharedMemory([SharedMemoryRegion])
  /// An answer without payload: how a request that has an answer of its own is refused.
  case refusal

  /// The whole message, header included; nil when nothing is to be sent.
  func encode(for header: MessageHeader) -> [UInt8]? {
    var payload: [UInt8] = []
    switch self {
    case .acknowledge:
      guard header.needsReply else { return nil }
      payload.append(word: UInt64(0))
    case .word(let word): payload.append(word: word)
    case .state(let state): state.encode(into: &payload)
    case .configuration(let access): access.encode(into: &payload)
    case .sharedMemory(let regions): SharedMemoryConfiguration(regions).encode(into: &payload)
    case .refusal: break
    }
    var message: [UInt8] = []
    message.reserveCapacity(MessageHeader.byteCount + payload.count)
    MessageHeader(
      request: header.request, flags: MessageHeader.Flag.version | MessageHeader.Flag.reply,
      payloadSize: UInt32(payload.count)
    ).encode(into: &message)
    message.append(contentsOf: payload)
    return message
  }

  /// How a request that failed is answered: by a number that is not zero where an acknowledgement is awaited, by the
  /// request's own way of saying no where it has one.
  static func failure(of code: RequestCode?, needsReply: Bool) -> Reply? {
    switch code {
    case .iotlbMsg, .postcopyEnd, .checkDeviceState: .word(1)
    case .setDeviceStateFd: .word(1 | VringDescriptor.noDescriptor)
    case let code? where code.hasReply: .refusal
    default: needsReply ? .word(1) : nil
    }
  }
}
