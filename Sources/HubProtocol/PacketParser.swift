import Platform

/// Takes packets apart (protocol.md section 1).
public enum PacketParser {
  /// Calls `body` with each message of a packet, its serial and its descriptor, until `body` says false.
  ///
  /// Takes over `descriptors`: what `body` is not given is closed.
  public static func parse(
    _ packet: UnsafeRawBufferPointer, descriptors: [Int32],
    _ body: (Message, UInt64, consuming FileDescriptor?) -> Bool
  ) throws(ProtocolError) {
    var taken = 0
    defer { closeAll(descriptors[taken...]) }
    var offset = 0
    while offset < packet.count {
      let header = try MessageHeader(UnsafeRawBufferPointer(rebasing: packet[offset...]))
      let end = offset + Int(header.length)
      let payload = UnsafeRawBufferPointer(rebasing: packet[offset + Wire.headerByteCount..<end])
      let message = try Message(header: header, payload: payload)
      var descriptor: FileDescriptor?
      if header.carriesDescriptor {
        guard taken < descriptors.count else { throw .descriptorMismatch(type: header.type) }
        descriptor = FileDescriptor(adopting: descriptors[taken])
        taken += 1
      }
      guard body(message, header.serial, descriptor) else { return }
      offset = end
    }
    if taken < descriptors.count { throw .surplusDescriptors(descriptors.count - taken) }
  }

  /// Reads a packet of exactly one message whose descriptor, if its header says that it has one, travels otherwise.
  public static func parseDetached(
    _ packet: [UInt8]
  ) throws(ProtocolError) -> (message: Message, serial: UInt64, hasDescriptor: Bool) {
    var result: Result<(Message, UInt64, Bool), ProtocolError> = .failure(.cutShort(byteCount: packet.count))
    packet.withUnsafeBytes { bytes in
      result = Result { () throws(ProtocolError) in try parseOne(bytes) }
    }
    return try result.get()
  }

  private static func parseOne(_ bytes: UnsafeRawBufferPointer) throws(ProtocolError) -> (Message, UInt64, Bool) {
    let header = try MessageHeader(bytes)
    guard Int(header.length) == bytes.count else { throw .badLength(header.length) }
    let payload = UnsafeRawBufferPointer(rebasing: bytes[Wire.headerByteCount...])
    return (try Message(header: header, payload: payload), header.serial, header.carriesDescriptor)
  }
}
