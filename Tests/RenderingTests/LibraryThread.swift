import Glibc
import Synchronization

/// One thread for all that uses the library: its contexts belong to the thread that started it, and the main actor of a
/// test run has none of its own.
@globalActor actor LibraryThread {
  static let shared = LibraryThread()
  private let executor = ThreadExecutor()
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
}

/// Runs jobs one after the other on a thread that it starts.
private final class ThreadExecutor: SerialExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
  }

  private let state = Mutex(State())
  nonisolated(unsafe) private let wake = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() {
    sem_init(wake, 0, 0)
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<ThreadExecutor>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.jobs.append(job) }
    sem_post(wake)
  }

  private func run() {
    while true {
      sem_wait(wake)
      let job = state.withLock { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }
      job?.runSynchronously(on: asUnownedSerialExecutor())
    }
  }
}
