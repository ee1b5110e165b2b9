import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Transactional producers of Apache Kafka's own, each committing one transaction after the other: what
 * transaction_load.py is with librdkafka's, with the same arguments, in the same words.
 *
 * java -cp "$(kafka libs)/*" TransactionLoad.java BROKER TOPIC PARTITIONS RECORDS PRODUCERS OFFSETS EVERY-MS WARM-UP SECONDS
 */
public final class TransactionLoad implements Callable<List<long[]>> {
    private static final byte[] RECORD = new byte[1024];
    private static final int READY_S = 60;
    private static volatile boolean ending;

    private final CountDownLatch first = new CountDownLatch(1);
    private final KafkaProducer<byte[], byte[]> producer;
    private final String topic;
    private final int partitions;
    private final int records;
    private final ConsumerGroupMetadata group;
    private final long everyNanos;

    private TransactionLoad(String[] arguments, int number) {
        topic = arguments[1];
        partitions = Integer.parseInt(arguments[2]);
        records = Integer.parseInt(arguments[3]);
        everyNanos = Long.parseLong(arguments[6]) * 1_000_000;
        String name = topic + "-" + number;
        Map<String, Object> producing = Map.of("bootstrap.servers", arguments[0], "transactional.id", name);
        producer = new KafkaProducer<>(producing, new ByteArraySerializer(), new ByteArraySerializer());
        producer.initTransactions();
        group = arguments[5].equals("1") ? group(arguments[0], name) : null;
    }

    /** A consumer's that assigns by itself. */
    private static ConsumerGroupMetadata group(String broker, String name) {
        Map<String, Object> consuming = Map.of("bootstrap.servers", broker, "group.id", name);
        try (var consumer = new KafkaConsumer<>(consuming, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            return consumer.groupMetadata();
        }
    }

    /** When each commit ended, and how long it took, in nanoseconds. */
    @Override
    public List<long[]> call() throws InterruptedException {
        List<long[]> committed = new ArrayList<>();
        long due = System.nanoTime();
        for (long at = 1; !ending; at++) {
            due += everyNanos;
            producer.beginTransaction();
            for (int index = 0; index < records; index++) {
                producer.send(new ProducerRecord<>(topic, index % partitions, null, RECORD));
            }
            long began = System.nanoTime();
            if (group != null) {
                producer.sendOffsetsToTransaction(
                        Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(at)), group);
            }
            producer.commitTransaction();
            long now = System.nanoTime();
            committed.add(new long[] {now, now - began});
            first.countDown();
            if (everyNanos > 0) {
                TimeUnit.NANOSECONDS.sleep(due - now);
            }
        }
        producer.close();
        return committed;
    }

    public static void main(String[] arguments) throws Exception {
        int producers = Integer.parseInt(arguments[4]);
        List<TransactionLoad> loads = new ArrayList<>();
        for (int number = 0; number < producers; number++) {
            loads.add(new TransactionLoad(arguments, number));
        }
        ExecutorService threads = Executors.newFixedThreadPool(producers);
        List<Future<List<long[]>>> running = new ArrayList<>();
        for (TransactionLoad load : loads) {
            running.add(threads.submit(load));
        }
        threads.shutdown();
        for (TransactionLoad load : loads) {
            if (!load.first.await(READY_S, TimeUnit.SECONDS)) {
                System.err.println("nothing is committed after " + READY_S + " s");
                System.exit(1);
            }
        }
        Thread.sleep(milliseconds(arguments[7]));
        long begin = System.nanoTime();
        System.out.println("begin");
        Thread.sleep(milliseconds(arguments[8]));
        long end = System.nanoTime();
        System.out.println("end");
        ending = true;
        List<Long> took = new ArrayList<>();
        for (Future<List<long[]>> each : running) {
            for (long[] commit : each.get()) {
                if (commit[0] - begin >= 0 && commit[0] - end < 0) {
                    took.add(commit[1] / 1000);
                }
            }
        }
        System.out.printf("{\"transactions\": %d, \"seconds\": %.6f, \"commit us\": [%s]}%n", took.size(),
                (end - begin) / 1e9, took.stream().map(String::valueOf).collect(Collectors.joining(", ")));
    }

    private static long milliseconds(String seconds) {
        return Math.round(Double.parseDouble(seconds) * 1000);
    }
}
