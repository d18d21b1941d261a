/// One-shot timers, soonest first: a binary heap whose cancelled entries are dropped when they come up.
struct TimerQueue {
  private struct Entry {
    let deadline: MonotonicTime
    let number: UInt64
  }

  private var heap: [Entry] = []
  private var handlers: [UInt64: () -> Void] = [:]
  private var lastNumber: UInt64 = 0

  /// The deadline of the soonest timer that is not cancelled.
  var next: MonotonicTime? {
    mutating get {
      dropCancelled()
      return heap.first?.deadline
    }
  }

  mutating func add(at deadline: MonotonicTime, _ handler: @escaping () -> Void) -> EventLoop.TimerToken {
    lastNumber += 1
    handlers[lastNumber] = handler
    heap.append(Entry(deadline: deadline, number: lastNumber))
    siftUp(heap.count - 1)
    return EventLoop.TimerToken(number: lastNumber)
  }

  mutating func remove(_ token: EventLoop.TimerToken) {
    handlers[token.number] = nil
    if heap.count > 64 && heap.count > 2 * handlers.count { rebuild() }
  }

  /// The next handler that is due, taken out.
  mutating func popDue(until now: MonotonicTime, upTo last: UInt64) -> (() -> Void)? {
    dropCancelled()
    guard let first = heap.first, first.deadline <= now, first.number <= last else { return nil }
    removeFirst()
    return handlers.removeValue(forKey: first.number)
  }

  /// How much is remembered, cancelled timers included.
  var count: Int { heap.count }

  /// The number of the youngest timer, so that timers made while firing wait for the next turn.
  var youngest: UInt64 { lastNumber }

  private mutating func dropCancelled() {
    while let first = heap.first, handlers[first.number] == nil { removeFirst() }
  }

  private mutating func rebuild() {
    let entries = heap.filter { handlers[$0.number] != nil }
    heap.removeAll(keepingCapacity: true)
    for entry in entries {
      heap.append(entry)
      siftUp(heap.count - 1)
    }
  }

  private mutating func removeFirst() {
    let last = heap.removeLast()
    guard !heap.isEmpty else { return }
    heap[0] = last
    siftDown()
  }

  private func precedes(_ left: Int, _ right: Int) -> Bool {
    (heap[left].deadline, heap[left].number) < (heap[right].deadline, heap[right].number)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0, precedes(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var smallest = parent
      for child in (2 * parent + 1)...(2 * parent + 2) where child < heap.count && precedes(child, smallest) {
        smallest = child
      }
      if smallest == parent { return }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
