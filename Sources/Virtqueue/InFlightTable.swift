import Synchronization

/// The chains that a device has taken and not yet completed: one entry each, without allocation.
struct InFlightTable: ~Copyable {
  /// A chain's claim on its entry.
  struct Ticket: Equatable {
    static let none = Ticket(slot: -1, table: 0, sequence: 0)
    var slot: Int32
    /// Which table gave it out: a chain of another queue, or of this queue's past, is not one of ours.
    var table: UInt32
    /// The how manieth chain of the queue this is.
    var sequence: UInt64
    var isValid: Bool { slot >= 0 }
  }

  struct Entry {
    var sequence: UInt64
    /// The head index or buffer id to give back.
    var id: UInt16
    /// How many slots of the ring the chain occupies.
    var slots: UInt16
    /// The bytes written, once completed while the ring could not be reached.
    var written: UInt32
    var state: State
  }

  enum State: UInt8 {
    case free
    /// The device works on it.
    case taken
    /// Completed, but not yet in the used ring.
    case waiting
  }

  private static let tableCount = Atomic<UInt32>(0)
  private let name: UInt32
  private let entries: UnsafeMutableBufferPointer<Entry>
  /// The indices of free entries; the first `freeCount` count.
  private let free: UnsafeMutablePointer<Int32>
  private var freeCount: Int
  /// How many chains were ever taken.
  private var taken: UInt64 = 0
  /// One more than the highest sequence among the completed ones.
  private var completedEnd: UInt64 = 0

  init(capacity: Int) {
    name = Self.tableCount.add(1, ordering: .relaxed).newValue
    entries = .allocate(capacity: capacity)
    entries.initialize(repeating: Entry(sequence: 0, id: 0, slots: 0, written: 0, state: .free))
    free = .allocate(capacity: capacity)
    for index in 0..<capacity { (free + index).initialize(to: Int32(capacity - 1 - index)) }
    freeCount = capacity
  }

  deinit {
    entries.deallocate()
    free.deallocate()
  }

  var isFull: Bool { freeCount == 0 }
  var count: Int { entries.count - freeCount }

  /// Records a chain; the table must not be full.
  @inline(__always)
  mutating func insert(id: UInt16, slots: UInt16) -> Ticket {
    freeCount -= 1
    let slot = free[freeCount]
    entries[Int(slot)] = Entry(sequence: taken, id: id, slots: slots, written: 0, state: .taken)
    defer { taken += 1 }
    return Ticket(slot: slot, table: name, sequence: taken)
  }

  /// Removes a chain that is completed; nil when the ticket is not, or no longer, one of this table's.
  @inline(__always)
  mutating func remove(_ ticket: Ticket) -> Entry? {
    guard holds(ticket) else { return nil }
    let entry = entries[Int(ticket.slot)]
    release(Int(ticket.slot))
    return entry
  }

  /// Marks a chain as completed whose entry cannot be put into the used ring yet.
  mutating func postpone(_ ticket: Ticket, written: UInt32) {
    guard holds(ticket) else { return }
    entries[Int(ticket.slot)].written = written
    entries[Int(ticket.slot)].state = .waiting
  }

  /// Removes, in the order in which they were taken, all entries that `condition` selects, and hands them to `body`.
  mutating func drain(where condition: (Entry) -> Bool, _ body: (Entry) -> Void) {
    while true {
      var oldest: Int?
      for index in entries.indices where entries[index].state != .free && condition(entries[index]) {
        if let known = oldest, entries[known].sequence < entries[index].sequence { continue }
        oldest = index
      }
      guard let index = oldest else { return }
      let entry = entries[index]
      release(index)
      body(entry)
    }
  }

  /// How many chains at the end of the sequence are in flight with none completed among them, and their ring slots.
  ///
  /// Exactly these can be offered again by setting the ring's position back.
  var suffix: (chains: UInt64, slots: Int) {
    var slots = 0
    for entry in entries where entry.state != .free && entry.sequence >= completedEnd { slots += Int(entry.slots) }
    return (taken - completedEnd, slots)
  }

  /// The end of the sequence up to which chains were overtaken.
  var overtakenEnd: UInt64 { completedEnd }

  @inline(__always)
  private func holds(_ ticket: Ticket) -> Bool {
    guard ticket.isValid, ticket.table == name else { return false }
    let entry = entries[Int(ticket.slot)]
    return entry.state == .taken && entry.sequence == ticket.sequence
  }

  @inline(__always)
  private mutating func release(_ slot: Int) {
    completedEnd = max(completedEnd, entries[slot].sequence + 1)
    entries[slot].state = .free
    free[freeCount] = Int32(slot)
    freeCount += 1
  }
}
