import Buffers
import CrossDomain
import GPUDevice

/// What a guest's program finds at the other end of its channel.
protocol ChannelService: AnyObject {
  /// Whether the other end has gone: the program may begin anew.
  var isOver: Bool { get }
  /// Takes in what the program sent.
  ///
  /// - Throws: why it was refused; nothing of it was done.
  func send(_ transmission: Transmission) throws(GPUError)
  /// Takes in what the program writes into a pipe.
  ///
  /// - Throws: why it was refused; nothing of it was done.
  func write(_ data: PipeData) throws(GPUError)
  /// What is to be said next, a RECEIVE or a READ; nil when there is nothing. After the channel's end an empty RECEIVE each
  /// time, as a socket that was hung up can be read each time.
  func next() -> CrossDomainCommand?
  /// What a number that was said, or asked for, stands for.
  func memory(ofBlob number: UInt64, byteCount: UInt64) throws(GPUError) -> HostMemory
  /// The program has gone.
  func close()
}
