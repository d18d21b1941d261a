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
}
