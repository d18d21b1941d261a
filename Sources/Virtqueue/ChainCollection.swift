/// What a queue settles about its chains.
struct ChainRules {
  /// Whether VIRTIO_F_INDIRECT_DESC was negotiated.
  var indirect: Bool
  /// The most descriptors a chain may have. Linux makes indirect tables longer than the queue; QEMU takes 1024.
  var maximumCount: Int

  init(size: UInt32, indirect: Bool) {
    self.indirect = indirect
    maximumCount = max(1024, Int(size))
  }
}

// How descriptors become segments. Every loop here is bounded by the size of its table.
extension DescriptorChain {
  /// Adds one buffer.
  @inline(__always)
  func append(_ descriptor: Descriptor, _ memory: GuestMemory, _ rules: ChainRules) {
    guard descriptor.count > 0 else { return }
    guard readable.count + writable.count < rules.maximumCount + GuestMemory.maximumRegions else {
      return abandon(.tooLong(rules.maximumCount))
    }
    if descriptor.isWritable {
      appendWritable(descriptor, memory)
    } else {
      appendReadable(descriptor, memory)
    }
  }

  @inline(__always)
  private func appendWritable(_ descriptor: Descriptor, _ memory: GuestMemory) {
    // Behind a fault in the writable part all further bytes would be at the wrong offset.
    guard acceptsWritable else { return }
    if !writable.append(descriptor.address, count: Int(descriptor.count), in: memory) { noteUnmapped(descriptor) }
  }

  @inline(__always)
  private func appendReadable(_ descriptor: Descriptor, _ memory: GuestMemory) {
    guard defect == nil else { return }
    guard writable.count == 0 else { return note(.readableAfterWritable) }
    if !readable.append(descriptor.address, count: Int(descriptor.count), in: memory) { noteUnmapped(descriptor) }
  }

  @inline(never)
  private func noteUnmapped(_ descriptor: Descriptor) {
    note(.notMapped(GuestAddress(descriptor.address), count: descriptor.count))
    if descriptor.isWritable { acceptsWritable = false }
  }

  /// Walks a split descriptor table from `first`; `indirect` says whether it is the table of an indirect descriptor.
  @inline(__always)
  func collect(
    table: UnsafeMutableRawPointer, count: Int, first: UInt16, indirect: Bool, _ memory: GuestMemory,
    _ rules: ChainRules
  ) {
    var index = Int(first)
    for _ in 0..<count {
      let descriptor = Descriptor(split: table + index * Descriptor.stride)
      if descriptor.isIndirect {
        guard !indirect, !descriptor.hasNext else { return abandon(.misplacedIndirect) }
        return collectIndirect(descriptor, packed: false, memory, rules)
      }
      append(descriptor, memory, rules)
      guard descriptor.hasNext else { return }
      index = Int(descriptor.link)
      guard index < count else { return abandon(.nextOutOfRange(descriptor.link)) }
    }
    abandon(.loop)
  }

  /// Adds the buffers of an indirect table (virtio 1.3, 2.7.5.3 and 2.8.7).
  @inline(never)
  func collectIndirect(_ descriptor: Descriptor, packed: Bool, _ memory: GuestMemory, _ rules: ChainRules) {
    guard rules.indirect else { return abandon(.indirectNotNegotiated) }
    let count = Int(descriptor.count) / Descriptor.stride
    guard count > 0, Int(descriptor.count) % Descriptor.stride == 0, count <= rules.maximumCount else {
      return abandon(.indirectTableSize(descriptor.count))
    }
    guard let table = indirectTable(descriptor, memory) else {
      return abandon(.indirectTableNotMapped(GuestAddress(descriptor.address), count: descriptor.count))
    }
    if packed {
      collectSequence(table: table, count: count, memory, rules)
    } else {
      collect(table: table, count: count, first: 0, indirect: true, memory, rules)
    }
  }

  /// Adds the entries of a packed ring's indirect table: one after the other, without links.
  private func collectSequence(
    table: UnsafeMutableRawPointer, count: Int, _ memory: GuestMemory, _ rules: ChainRules
  ) {
    for index in 0..<count {
      let descriptor = Descriptor(packed: table + index * Descriptor.stride)
      guard !descriptor.isIndirect else { return abandon(.misplacedIndirect) }
      append(descriptor, memory, rules)
    }
  }

  /// The table where it lies, or a private copy when it crosses regions or is not aligned for atomic reads.
  private func indirectTable(_ descriptor: Descriptor, _ memory: GuestMemory) -> UnsafeMutableRawPointer? {
    let address = GuestAddress(descriptor.address)
    let count = UInt64(descriptor.count)
    if let table = memory.slice(at: address, count: count)?.baseAddress, table.isAligned(to: 8) { return table }
    if scratch.count < Int(count) {
      scratch.deallocate()
      scratch = .allocate(byteCount: Int(count), alignment: Descriptor.stride)
    }
    return copyOut(address, count: count, memory) ? scratch.baseAddress : nil
  }

  @inline(never)
  private func copyOut(_ address: GuestAddress, count: UInt64, _ memory: GuestMemory) -> Bool {
    var place = 0
    do {
      try memory.forEachSlice(at: address, count: count) { piece in
        UnsafeMutableRawBufferPointer(rebasing: scratch[place...]).copyMemory(from: UnsafeRawBufferPointer(piece))
        place += piece.count
      }
      return true
    } catch {
      return false
    }
  }
}
