import Buffers
import GPUDevice
import HubProtocol
import Platform

/// Tells the hub what the VM has of this host, some time after it has changed: at most 50 times a second.
final class LedgerReporter {
  private static let delay = Duration.milliseconds(20)

  private let device: GPUDevice
  private let client: ProducerClient
  private let loop: EventLoop
  private var isArmed = false

  /// Reports from now on.
  init(device: GPUDevice, client: ProducerClient, loop: EventLoop) {
    self.device = device
    self.client = client
    self.loop = loop
    device.ledger.changed = { [weak self] in self?.noteChange() }
    report()
  }

  private func noteChange() {
    guard !isArmed else { return }
    isArmed = true
    loop.schedule(after: Self.delay) { [weak self] in self?.report() }
  }

  private func report() {
    isArmed = false
    var report = LedgerReport(device.ledger)
    report.pixelsCopied = device.statistics.pixelsCopied
    client.report(report)
  }
}
