import Platform

/// Questions to the front-end, one at a time. A front-end may leave one without an answer (QEMU does when it is asked for
/// the EDID of a display that it does not have), so each has a time limit.
final class DisplayQuestions {
  /// What can be asked.
  enum Question: Hashable {
    case protocolFeatures
    case displayInfo
    case edid(UInt32)

    var request: DisplayRequest {
      switch self {
      case .protocolFeatures: .getProtocolFeatures
      case .displayInfo: .getDisplayInfo
      case .edid: .getEdid
      }
    }

    var words: [UInt32] {
      if case .edid(let scanout) = self { [scanout] } else { [] }
    }
  }

  typealias Answer = (DisplayReply?) -> Void

  /// How long an answer may take.
  static let timeLimit = Duration.seconds(1)

  private let loop: EventLoop
  private var queue: [(question: Question, answers: [Answer])] = []
  private var isAsked = false
  private var timer: EventLoop.TimerToken?
  /// Called when the next question can be asked.
  var ready: (() -> Void)?

  init(loop: EventLoop) {
    self.loop = loop
  }

  /// The question to send now, if there is one.
  var next: Question? { isAsked ? nil : queue.first?.question }

  /// Adds a question; who asks what has been asked already gets the same answer.
  func add(_ question: Question, _ answer: @escaping Answer) {
    if let index = queue.firstIndex(where: { $0.question == question }), index > 0 || !isAsked {
      queue[index].answers.append(answer)
    } else {
      queue.append((question, [answer]))
    }
  }

  /// The first question is on its way.
  func markAsked() {
    isAsked = true
    timer = loop.schedule(after: Self.timeLimit) { [weak self] in
      self?.finish(nil)
      self?.ready?()
    }
  }

  /// Takes an answer; one to a question that is not open any more is ignored.
  func take(_ reply: DisplayReply?, to request: UInt32) {
    guard isAsked, queue.first?.question.request.rawValue == request else { return }
    finish(reply)
  }

  /// Nobody will answer.
  func abandonAll() {
    while !queue.isEmpty { finish(nil) }
  }

  private func finish(_ reply: DisplayReply?) {
    if let timer { loop.cancel(timer) }
    timer = nil
    isAsked = false
    guard !queue.isEmpty else { return }
    let answers = queue.removeFirst().answers
    for answer in answers { answer(reply == .error ? nil : reply) }
  }
}
