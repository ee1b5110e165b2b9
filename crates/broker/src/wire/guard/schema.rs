//! What each Kafka request consists of: the table that the guard walks by. Generated, not edited:
//! `python3 crates/broker/tools/request_schema.py kafka-clients-4.3.0.jar > crates/broker/src/wire/guard/schema.rs`
//! makes it from the message definitions of Apache Kafka (Apache License 2.0) that lie in that jar.

use super::shape::Kind::{Array, B1, B2, B4, B8, B16, Blob, Struct, Text};
use super::shape::{ALL, Message, NONE, Shape, between, f, from};
use kafka_protocol::messages as m;

// ProduceRequest
static PRODUCE_TOPIC_PRODUCE_DATA: Shape = Shape(&[
    f(Text, between(0, 12)), // Name
    f(B16, from(13)), // TopicId
    f(Array(&Struct(&PRODUCE_PARTITION_PRODUCE_DATA), size_of::<m::produce_request::PartitionProduceData>()), ALL), // PartitionData
]);
static PRODUCE_PARTITION_PRODUCE_DATA: Shape = Shape(&[
    f(B4, ALL), // Index
    f(Blob, ALL).nullable(ALL), // Records
]);
static PRODUCE: Shape = Shape(&[
    f(Text, from(3)).nullable(from(3)), // TransactionalId
    f(B2, ALL), // Acks
    f(B4, ALL), // TimeoutMs
    f(Array(&Struct(&PRODUCE_TOPIC_PRODUCE_DATA), size_of::<m::produce_request::TopicProduceData>()), ALL), // TopicData
]);

// FetchRequest
static FETCH_REPLICA_STATE: Shape = Shape(&[
    f(B4, from(15)), // ReplicaId
    f(B8, from(15)), // ReplicaEpoch
]);
static FETCH_FETCH_TOPIC: Shape = Shape(&[
    f(Text, between(0, 12)), // Topic
    f(B16, from(13)), // TopicId
    f(Array(&Struct(&FETCH_FETCH_PARTITION), size_of::<m::fetch_request::FetchPartition>()), ALL), // Partitions
]);
static FETCH_FETCH_PARTITION: Shape = Shape(&[
    f(B4, ALL), // Partition
    f(B4, from(9)), // CurrentLeaderEpoch
    f(B8, ALL), // FetchOffset
    f(B4, from(12)), // LastFetchedEpoch
    f(B8, from(5)), // LogStartOffset
    f(B4, ALL), // PartitionMaxBytes
    f(B16, from(17)).tag(0), // ReplicaDirectoryId
    f(B8, from(18)).tag(1), // HighWatermark
]);
static FETCH_FORGOTTEN_TOPIC: Shape = Shape(&[
    f(Text, between(7, 12)), // Topic
    f(B16, from(13)), // TopicId
    f(Array(&B4, 4), from(7)), // Partitions
]);
static FETCH: Shape = Shape(&[
    f(Text, from(12)).nullable(from(12)).tag(0), // ClusterId
    f(B4, between(0, 14)), // ReplicaId
    f(Struct(&FETCH_REPLICA_STATE), from(15)).tag(1), // ReplicaState
    f(B4, ALL), // MaxWaitMs
    f(B4, ALL), // MinBytes
    f(B4, from(3)), // MaxBytes
    f(B1, from(4)), // IsolationLevel
    f(B4, from(7)), // SessionId
    f(B4, from(7)), // SessionEpoch
    f(Array(&Struct(&FETCH_FETCH_TOPIC), size_of::<m::fetch_request::FetchTopic>()), ALL), // Topics
    f(Array(&Struct(&FETCH_FORGOTTEN_TOPIC), size_of::<m::fetch_request::ForgottenTopic>()), from(7)), // ForgottenTopicsData
    f(Text, from(11)), // RackId
]);

// ListOffsetsRequest
static LIST_OFFSETS_LIST_OFFSETS_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&Struct(&LIST_OFFSETS_LIST_OFFSETS_PARTITION), size_of::<m::list_offsets_request::ListOffsetsPartition>()), ALL), // Partitions
]);
static LIST_OFFSETS_LIST_OFFSETS_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B4, from(4)), // CurrentLeaderEpoch
    f(B8, ALL), // Timestamp
]);
static LIST_OFFSETS: Shape = Shape(&[
    f(B4, ALL), // ReplicaId
    f(B1, from(2)), // IsolationLevel
    f(Array(&Struct(&LIST_OFFSETS_LIST_OFFSETS_TOPIC), size_of::<m::list_offsets_request::ListOffsetsTopic>()), ALL), // Topics
    f(B4, from(10)), // TimeoutMs
]);

// MetadataRequest
static METADATA_METADATA_REQUEST_TOPIC: Shape = Shape(&[
    f(B16, from(10)), // TopicId
    f(Text, ALL).nullable(from(10)), // Name
]);
static METADATA: Shape = Shape(&[
    f(Array(&Struct(&METADATA_METADATA_REQUEST_TOPIC), size_of::<m::metadata_request::MetadataRequestTopic>()), ALL).nullable(from(1)), // Topics
    f(B1, from(4)), // AllowAutoTopicCreation
    f(B1, between(8, 10)), // IncludeClusterAuthorizedOperations
    f(B1, from(8)), // IncludeTopicAuthorizedOperations
]);

// OffsetCommitRequest
static OFFSET_COMMIT_OFFSET_COMMIT_REQUEST_TOPIC: Shape = Shape(&[
    f(Text, between(0, 9)), // Name
    f(B16, from(10)), // TopicId
    f(Array(&Struct(&OFFSET_COMMIT_OFFSET_COMMIT_REQUEST_PARTITION), size_of::<m::offset_commit_request::OffsetCommitRequestPartition>()), ALL), // Partitions
]);
static OFFSET_COMMIT_OFFSET_COMMIT_REQUEST_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B8, ALL), // CommittedOffset
    f(B4, from(6)), // CommittedLeaderEpoch
    f(Text, ALL).nullable(ALL), // CommittedMetadata
]);
static OFFSET_COMMIT: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(B4, from(1)), // GenerationIdOrMemberEpoch
    f(Text, from(1)), // MemberId
    f(Text, from(7)).nullable(from(7)), // GroupInstanceId
    f(B8, between(2, 4)), // RetentionTimeMs
    f(Array(&Struct(&OFFSET_COMMIT_OFFSET_COMMIT_REQUEST_TOPIC), size_of::<m::offset_commit_request::OffsetCommitRequestTopic>()), ALL), // Topics
]);

// OffsetFetchRequest
static OFFSET_FETCH_OFFSET_FETCH_REQUEST_TOPIC: Shape = Shape(&[
    f(Text, between(0, 7)), // Name
    f(Array(&B4, 4), between(0, 7)), // PartitionIndexes
]);
static OFFSET_FETCH_OFFSET_FETCH_REQUEST_GROUP: Shape = Shape(&[
    f(Text, from(8)), // GroupId
    f(Text, from(9)).nullable(from(9)), // MemberId
    f(B4, from(9)), // MemberEpoch
    f(Array(&Struct(&OFFSET_FETCH_OFFSET_FETCH_REQUEST_TOPICS), size_of::<m::offset_fetch_request::OffsetFetchRequestTopics>()), from(8)).nullable(from(8)), // Topics
]);
static OFFSET_FETCH_OFFSET_FETCH_REQUEST_TOPICS: Shape = Shape(&[
    f(Text, between(8, 9)), // Name
    f(B16, from(10)), // TopicId
    f(Array(&B4, 4), from(8)), // PartitionIndexes
]);
static OFFSET_FETCH: Shape = Shape(&[
    f(Text, between(0, 7)), // GroupId
    f(Array(&Struct(&OFFSET_FETCH_OFFSET_FETCH_REQUEST_TOPIC), size_of::<m::offset_fetch_request::OffsetFetchRequestTopic>()), between(0, 7)).nullable(between(2, 7)), // Topics
    f(Array(&Struct(&OFFSET_FETCH_OFFSET_FETCH_REQUEST_GROUP), size_of::<m::offset_fetch_request::OffsetFetchRequestGroup>()), from(8)), // Groups
    f(B1, from(7)), // RequireStable
]);

// FindCoordinatorRequest
static FIND_COORDINATOR: Shape = Shape(&[
    f(Text, between(0, 3)), // Key
    f(B1, from(1)), // KeyType
    f(Array(&Text, 32), from(4)), // CoordinatorKeys
]);

// JoinGroupRequest
static JOIN_GROUP_JOIN_GROUP_REQUEST_PROTOCOL: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Blob, ALL), // Metadata
]);
static JOIN_GROUP: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(B4, ALL), // SessionTimeoutMs
    f(B4, from(1)), // RebalanceTimeoutMs
    f(Text, ALL), // MemberId
    f(Text, from(5)).nullable(from(5)), // GroupInstanceId
    f(Text, ALL), // ProtocolType
    f(Array(&Struct(&JOIN_GROUP_JOIN_GROUP_REQUEST_PROTOCOL), size_of::<m::join_group_request::JoinGroupRequestProtocol>()), ALL), // Protocols
    f(Text, from(8)).nullable(from(8)), // Reason
]);

// HeartbeatRequest
static HEARTBEAT: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(B4, ALL), // GenerationId
    f(Text, ALL), // MemberId
    f(Text, from(3)).nullable(from(3)), // GroupInstanceId
]);

// LeaveGroupRequest
static LEAVE_GROUP_MEMBER_IDENTITY: Shape = Shape(&[
    f(Text, from(3)), // MemberId
    f(Text, from(3)).nullable(from(3)), // GroupInstanceId
    f(Text, from(5)).nullable(from(5)), // Reason
]);
static LEAVE_GROUP: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Text, between(0, 2)), // MemberId
    f(Array(&Struct(&LEAVE_GROUP_MEMBER_IDENTITY), size_of::<m::leave_group_request::MemberIdentity>()), from(3)), // Members
]);

// SyncGroupRequest
static SYNC_GROUP_SYNC_GROUP_REQUEST_ASSIGNMENT: Shape = Shape(&[
    f(Text, ALL), // MemberId
    f(Blob, ALL), // Assignment
]);
static SYNC_GROUP: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(B4, ALL), // GenerationId
    f(Text, ALL), // MemberId
    f(Text, from(3)).nullable(from(3)), // GroupInstanceId
    f(Text, from(5)).nullable(from(5)), // ProtocolType
    f(Text, from(5)).nullable(from(5)), // ProtocolName
    f(Array(&Struct(&SYNC_GROUP_SYNC_GROUP_REQUEST_ASSIGNMENT), size_of::<m::sync_group_request::SyncGroupRequestAssignment>()), ALL), // Assignments
]);

// DescribeGroupsRequest
static DESCRIBE_GROUPS: Shape = Shape(&[
    f(Array(&Text, 32), ALL), // Groups
    f(B1, from(3)), // IncludeAuthorizedOperations
]);

// ListGroupsRequest
static LIST_GROUPS: Shape = Shape(&[
    f(Array(&Text, 32), from(4)), // StatesFilter
    f(Array(&Text, 32), from(5)), // TypesFilter
]);

// SaslHandshakeRequest
static SASL_HANDSHAKE: Shape = Shape(&[
    f(Text, ALL), // Mechanism
]);

// ApiVersionsRequest
static API_VERSIONS: Shape = Shape(&[
    f(Text, from(3)), // ClientSoftwareName
    f(Text, from(3)), // ClientSoftwareVersion
]);

// CreateTopicsRequest
static CREATE_TOPICS_CREATABLE_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B4, ALL), // NumPartitions
    f(B2, ALL), // ReplicationFactor
    f(Array(&Struct(&CREATE_TOPICS_CREATABLE_REPLICA_ASSIGNMENT), size_of::<m::create_topics_request::CreatableReplicaAssignment>()), ALL), // Assignments
    f(Array(&Struct(&CREATE_TOPICS_CREATABLE_TOPIC_CONFIG), size_of::<m::create_topics_request::CreatableTopicConfig>()), ALL), // Configs
]);
static CREATE_TOPICS_CREATABLE_REPLICA_ASSIGNMENT: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(Array(&B4, 4), ALL), // BrokerIds
]);
static CREATE_TOPICS_CREATABLE_TOPIC_CONFIG: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Text, ALL).nullable(ALL), // Value
]);
static CREATE_TOPICS: Shape = Shape(&[
    f(Array(&Struct(&CREATE_TOPICS_CREATABLE_TOPIC), size_of::<m::create_topics_request::CreatableTopic>()), ALL), // Topics
    f(B4, ALL), // timeoutMs
    f(B1, from(1)), // validateOnly
]);

// DeleteTopicsRequest
static DELETE_TOPICS_DELETE_TOPIC_STATE: Shape = Shape(&[
    f(Text, from(6)).nullable(from(6)), // Name
    f(B16, from(6)), // TopicId
]);
static DELETE_TOPICS: Shape = Shape(&[
    f(Array(&Struct(&DELETE_TOPICS_DELETE_TOPIC_STATE), size_of::<m::delete_topics_request::DeleteTopicState>()), from(6)), // Topics
    f(Array(&Text, 32), between(0, 5)), // TopicNames
    f(B4, ALL), // TimeoutMs
]);

// DeleteRecordsRequest
static DELETE_RECORDS_DELETE_RECORDS_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&Struct(&DELETE_RECORDS_DELETE_RECORDS_PARTITION), size_of::<m::delete_records_request::DeleteRecordsPartition>()), ALL), // Partitions
]);
static DELETE_RECORDS_DELETE_RECORDS_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B8, ALL), // Offset
]);
static DELETE_RECORDS: Shape = Shape(&[
    f(Array(&Struct(&DELETE_RECORDS_DELETE_RECORDS_TOPIC), size_of::<m::delete_records_request::DeleteRecordsTopic>()), ALL), // Topics
    f(B4, ALL), // TimeoutMs
]);

// InitProducerIdRequest
static INIT_PRODUCER_ID: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // TransactionalId
    f(B4, ALL), // TransactionTimeoutMs
    f(B8, from(3)), // ProducerId
    f(B2, from(3)), // ProducerEpoch
    f(B1, from(6)), // Enable2Pc
    f(B1, from(6)), // KeepPreparedTxn
]);

// OffsetForLeaderEpochRequest
static OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Topic
    f(Array(&Struct(&OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_PARTITION), size_of::<m::offset_for_leader_epoch_request::OffsetForLeaderPartition>()), ALL), // Partitions
]);
static OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_PARTITION: Shape = Shape(&[
    f(B4, ALL), // Partition
    f(B4, from(2)), // CurrentLeaderEpoch
    f(B4, ALL), // LeaderEpoch
]);
static OFFSET_FOR_LEADER_EPOCH: Shape = Shape(&[
    f(B4, from(3)), // ReplicaId
    f(Array(&Struct(&OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_TOPIC), size_of::<m::offset_for_leader_epoch_request::OffsetForLeaderTopic>()), ALL), // Topics
]);

// AddPartitionsToTxnRequest
static ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&B4, 4), ALL), // Partitions
]);
static ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TRANSACTION: Shape = Shape(&[
    f(Text, from(4)), // TransactionalId
    f(B8, from(4)), // ProducerId
    f(B2, from(4)), // ProducerEpoch
    f(B1, from(4)), // VerifyOnly
    f(Array(&Struct(&ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC), size_of::<m::add_partitions_to_txn_request::AddPartitionsToTxnTopic>()), from(4)), // Topics
]);
static ADD_PARTITIONS_TO_TXN: Shape = Shape(&[
    f(Array(&Struct(&ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TRANSACTION), size_of::<m::add_partitions_to_txn_request::AddPartitionsToTxnTransaction>()), from(4)), // Transactions
    f(Text, between(0, 3)), // V3AndBelowTransactionalId
    f(B8, between(0, 3)), // V3AndBelowProducerId
    f(B2, between(0, 3)), // V3AndBelowProducerEpoch
    f(Array(&Struct(&ADD_PARTITIONS_TO_TXN_ADD_PARTITIONS_TO_TXN_TOPIC), size_of::<m::add_partitions_to_txn_request::AddPartitionsToTxnTopic>()), between(0, 3)), // V3AndBelowTopics
]);

// AddOffsetsToTxnRequest
static ADD_OFFSETS_TO_TXN: Shape = Shape(&[
    f(Text, ALL), // TransactionalId
    f(B8, ALL), // ProducerId
    f(B2, ALL), // ProducerEpoch
    f(Text, ALL), // GroupId
]);

// EndTxnRequest
static END_TXN: Shape = Shape(&[
    f(Text, ALL), // TransactionalId
    f(B8, ALL), // ProducerId
    f(B2, ALL), // ProducerEpoch
    f(B1, ALL), // Committed
]);

// WriteTxnMarkersRequest
static WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER: Shape = Shape(&[
    f(B8, ALL), // ProducerId
    f(B2, ALL), // ProducerEpoch
    f(B1, ALL), // TransactionResult
    f(Array(&Struct(&WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC), size_of::<m::write_txn_markers_request::WritableTxnMarkerTopic>()), ALL), // Topics
    f(B4, ALL), // CoordinatorEpoch
    f(B1, from(2)), // TransactionVersion
]);
static WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&B4, 4), ALL), // PartitionIndexes
]);
static WRITE_TXN_MARKERS: Shape = Shape(&[
    f(Array(&Struct(&WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER), size_of::<m::write_txn_markers_request::WritableTxnMarker>()), ALL), // Markers
]);

// TxnOffsetCommitRequest
static TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&Struct(&TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_PARTITION), size_of::<m::txn_offset_commit_request::TxnOffsetCommitRequestPartition>()), ALL), // Partitions
]);
static TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B8, ALL), // CommittedOffset
    f(B4, from(2)), // CommittedLeaderEpoch
    f(Text, ALL).nullable(ALL), // CommittedMetadata
]);
static TXN_OFFSET_COMMIT: Shape = Shape(&[
    f(Text, ALL), // TransactionalId
    f(Text, ALL), // GroupId
    f(B8, ALL), // ProducerId
    f(B2, ALL), // ProducerEpoch
    f(B4, from(3)), // GenerationId
    f(Text, from(3)), // MemberId
    f(Text, from(3)).nullable(from(3)), // GroupInstanceId
    f(Array(&Struct(&TXN_OFFSET_COMMIT_TXN_OFFSET_COMMIT_REQUEST_TOPIC), size_of::<m::txn_offset_commit_request::TxnOffsetCommitRequestTopic>()), ALL), // Topics
]);

// DescribeAclsRequest
static DESCRIBE_ACLS: Shape = Shape(&[
    f(B1, ALL), // ResourceTypeFilter
    f(Text, ALL).nullable(ALL), // ResourceNameFilter
    f(B1, from(1)), // PatternTypeFilter
    f(Text, ALL).nullable(ALL), // PrincipalFilter
    f(Text, ALL).nullable(ALL), // HostFilter
    f(B1, ALL), // Operation
    f(B1, ALL), // PermissionType
]);

// CreateAclsRequest
static CREATE_ACLS_ACL_CREATION: Shape = Shape(&[
    f(B1, ALL), // ResourceType
    f(Text, ALL), // ResourceName
    f(B1, from(1)), // ResourcePatternType
    f(Text, ALL), // Principal
    f(Text, ALL), // Host
    f(B1, ALL), // Operation
    f(B1, ALL), // PermissionType
]);
static CREATE_ACLS: Shape = Shape(&[
    f(Array(&Struct(&CREATE_ACLS_ACL_CREATION), size_of::<m::create_acls_request::AclCreation>()), ALL), // Creations
]);

// DeleteAclsRequest
static DELETE_ACLS_DELETE_ACLS_FILTER: Shape = Shape(&[
    f(B1, ALL), // ResourceTypeFilter
    f(Text, ALL).nullable(ALL), // ResourceNameFilter
    f(B1, from(1)), // PatternTypeFilter
    f(Text, ALL).nullable(ALL), // PrincipalFilter
    f(Text, ALL).nullable(ALL), // HostFilter
    f(B1, ALL), // Operation
    f(B1, ALL), // PermissionType
]);
static DELETE_ACLS: Shape = Shape(&[
    f(Array(&Struct(&DELETE_ACLS_DELETE_ACLS_FILTER), size_of::<m::delete_acls_request::DeleteAclsFilter>()), ALL), // Filters
]);

// DescribeConfigsRequest
static DESCRIBE_CONFIGS_DESCRIBE_CONFIGS_RESOURCE: Shape = Shape(&[
    f(B1, ALL), // ResourceType
    f(Text, ALL), // ResourceName
    f(Array(&Text, 32), ALL).nullable(ALL), // ConfigurationKeys
]);
static DESCRIBE_CONFIGS: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_CONFIGS_DESCRIBE_CONFIGS_RESOURCE), size_of::<m::describe_configs_request::DescribeConfigsResource>()), ALL), // Resources
    f(B1, from(1)), // IncludeSynonyms
    f(B1, from(3)), // IncludeDocumentation
]);

// AlterConfigsRequest
static ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: Shape = Shape(&[
    f(B1, ALL), // ResourceType
    f(Text, ALL), // ResourceName
    f(Array(&Struct(&ALTER_CONFIGS_ALTERABLE_CONFIG), size_of::<m::alter_configs_request::AlterableConfig>()), ALL), // Configs
]);
static ALTER_CONFIGS_ALTERABLE_CONFIG: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Text, ALL).nullable(ALL), // Value
]);
static ALTER_CONFIGS: Shape = Shape(&[
    f(Array(&Struct(&ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE), size_of::<m::alter_configs_request::AlterConfigsResource>()), ALL), // Resources
    f(B1, ALL), // ValidateOnly
]);

// AlterReplicaLogDirsRequest
static ALTER_REPLICA_LOG_DIRS_ALTER_REPLICA_LOG_DIR: Shape = Shape(&[
    f(Text, ALL), // Path
    f(Array(&Struct(&ALTER_REPLICA_LOG_DIRS_ALTER_REPLICA_LOG_DIR_TOPIC), size_of::<m::alter_replica_log_dirs_request::AlterReplicaLogDirTopic>()), ALL), // Topics
]);
static ALTER_REPLICA_LOG_DIRS_ALTER_REPLICA_LOG_DIR_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&B4, 4), ALL), // Partitions
]);
static ALTER_REPLICA_LOG_DIRS: Shape = Shape(&[
    f(Array(&Struct(&ALTER_REPLICA_LOG_DIRS_ALTER_REPLICA_LOG_DIR), size_of::<m::alter_replica_log_dirs_request::AlterReplicaLogDir>()), ALL), // Dirs
]);

// DescribeLogDirsRequest
static DESCRIBE_LOG_DIRS_DESCRIBABLE_LOG_DIR_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Topic
    f(Array(&B4, 4), ALL), // Partitions
]);
static DESCRIBE_LOG_DIRS: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_LOG_DIRS_DESCRIBABLE_LOG_DIR_TOPIC), size_of::<m::describe_log_dirs_request::DescribableLogDirTopic>()), ALL).nullable(ALL), // Topics
]);

// SaslAuthenticateRequest
static SASL_AUTHENTICATE: Shape = Shape(&[
    f(Blob, ALL), // AuthBytes
]);

// CreatePartitionsRequest
static CREATE_PARTITIONS_CREATE_PARTITIONS_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B4, ALL), // Count
    f(Array(&Struct(&CREATE_PARTITIONS_CREATE_PARTITIONS_ASSIGNMENT), size_of::<m::create_partitions_request::CreatePartitionsAssignment>()), ALL).nullable(ALL), // Assignments
]);
static CREATE_PARTITIONS_CREATE_PARTITIONS_ASSIGNMENT: Shape = Shape(&[
    f(Array(&B4, 4), ALL), // BrokerIds
]);
static CREATE_PARTITIONS: Shape = Shape(&[
    f(Array(&Struct(&CREATE_PARTITIONS_CREATE_PARTITIONS_TOPIC), size_of::<m::create_partitions_request::CreatePartitionsTopic>()), ALL), // Topics
    f(B4, ALL), // TimeoutMs
    f(B1, ALL), // ValidateOnly
]);

// CreateDelegationTokenRequest
static CREATE_DELEGATION_TOKEN_CREATABLE_RENEWERS: Shape = Shape(&[
    f(Text, ALL), // PrincipalType
    f(Text, ALL), // PrincipalName
]);
static CREATE_DELEGATION_TOKEN: Shape = Shape(&[
    f(Text, from(3)).nullable(from(3)), // OwnerPrincipalType
    f(Text, from(3)).nullable(from(3)), // OwnerPrincipalName
    f(Array(&Struct(&CREATE_DELEGATION_TOKEN_CREATABLE_RENEWERS), size_of::<m::create_delegation_token_request::CreatableRenewers>()), ALL), // Renewers
    f(B8, ALL), // MaxLifetimeMs
]);

// RenewDelegationTokenRequest
static RENEW_DELEGATION_TOKEN: Shape = Shape(&[
    f(Blob, ALL), // Hmac
    f(B8, ALL), // RenewPeriodMs
]);

// ExpireDelegationTokenRequest
static EXPIRE_DELEGATION_TOKEN: Shape = Shape(&[
    f(Blob, ALL), // Hmac
    f(B8, ALL), // ExpiryTimePeriodMs
]);

// DescribeDelegationTokenRequest
static DESCRIBE_DELEGATION_TOKEN_DESCRIBE_DELEGATION_TOKEN_OWNER: Shape = Shape(&[
    f(Text, ALL), // PrincipalType
    f(Text, ALL), // PrincipalName
]);
static DESCRIBE_DELEGATION_TOKEN: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_DELEGATION_TOKEN_DESCRIBE_DELEGATION_TOKEN_OWNER), size_of::<m::describe_delegation_token_request::DescribeDelegationTokenOwner>()), ALL).nullable(ALL), // Owners
]);

// DeleteGroupsRequest
static DELETE_GROUPS: Shape = Shape(&[
    f(Array(&Text, 32), ALL), // GroupsNames
]);

// ElectLeadersRequest
static ELECT_LEADERS_TOPIC_PARTITIONS: Shape = Shape(&[
    f(Text, ALL), // Topic
    f(Array(&B4, 4), ALL), // Partitions
]);
static ELECT_LEADERS: Shape = Shape(&[
    f(B1, from(1)), // ElectionType
    f(Array(&Struct(&ELECT_LEADERS_TOPIC_PARTITIONS), size_of::<m::elect_leaders_request::TopicPartitions>()), ALL).nullable(ALL), // TopicPartitions
    f(B4, ALL), // TimeoutMs
]);

// IncrementalAlterConfigsRequest
static INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: Shape = Shape(&[
    f(B1, ALL), // ResourceType
    f(Text, ALL), // ResourceName
    f(Array(&Struct(&INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG), size_of::<m::incremental_alter_configs_request::AlterableConfig>()), ALL), // Configs
]);
static INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B1, ALL), // ConfigOperation
    f(Text, ALL).nullable(ALL), // Value
]);
static INCREMENTAL_ALTER_CONFIGS: Shape = Shape(&[
    f(Array(&Struct(&INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE), size_of::<m::incremental_alter_configs_request::AlterConfigsResource>()), ALL), // Resources
    f(B1, ALL), // ValidateOnly
]);

// AlterPartitionReassignmentsRequest
static ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&Struct(&ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_PARTITION), size_of::<m::alter_partition_reassignments_request::ReassignablePartition>()), ALL), // Partitions
]);
static ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(Array(&B4, 4), ALL).nullable(ALL), // Replicas
]);
static ALTER_PARTITION_REASSIGNMENTS: Shape = Shape(&[
    f(B4, ALL), // TimeoutMs
    f(B1, from(1)), // AllowReplicationFactorChange
    f(Array(&Struct(&ALTER_PARTITION_REASSIGNMENTS_REASSIGNABLE_TOPIC), size_of::<m::alter_partition_reassignments_request::ReassignableTopic>()), ALL), // Topics
]);

// ListPartitionReassignmentsRequest
static LIST_PARTITION_REASSIGNMENTS_LIST_PARTITION_REASSIGNMENTS_TOPICS: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&B4, 4), ALL), // PartitionIndexes
]);
static LIST_PARTITION_REASSIGNMENTS: Shape = Shape(&[
    f(B4, ALL), // TimeoutMs
    f(Array(&Struct(&LIST_PARTITION_REASSIGNMENTS_LIST_PARTITION_REASSIGNMENTS_TOPICS), size_of::<m::list_partition_reassignments_request::ListPartitionReassignmentsTopics>()), ALL).nullable(ALL), // Topics
]);

// OffsetDeleteRequest
static OFFSET_DELETE_OFFSET_DELETE_REQUEST_TOPIC: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&Struct(&OFFSET_DELETE_OFFSET_DELETE_REQUEST_PARTITION), size_of::<m::offset_delete_request::OffsetDeleteRequestPartition>()), ALL), // Partitions
]);
static OFFSET_DELETE_OFFSET_DELETE_REQUEST_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
]);
static OFFSET_DELETE: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&OFFSET_DELETE_OFFSET_DELETE_REQUEST_TOPIC), size_of::<m::offset_delete_request::OffsetDeleteRequestTopic>()), ALL), // Topics
]);

// DescribeClientQuotasRequest
static DESCRIBE_CLIENT_QUOTAS_COMPONENT_DATA: Shape = Shape(&[
    f(Text, ALL), // EntityType
    f(B1, ALL), // MatchType
    f(Text, ALL).nullable(ALL), // Match
]);
static DESCRIBE_CLIENT_QUOTAS: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_CLIENT_QUOTAS_COMPONENT_DATA), size_of::<m::describe_client_quotas_request::ComponentData>()), ALL), // Components
    f(B1, ALL), // Strict
]);

// AlterClientQuotasRequest
static ALTER_CLIENT_QUOTAS_ENTRY_DATA: Shape = Shape(&[
    f(Array(&Struct(&ALTER_CLIENT_QUOTAS_ENTITY_DATA), size_of::<m::alter_client_quotas_request::EntityData>()), ALL), // Entity
    f(Array(&Struct(&ALTER_CLIENT_QUOTAS_OP_DATA), size_of::<m::alter_client_quotas_request::OpData>()), ALL), // Ops
]);
static ALTER_CLIENT_QUOTAS_ENTITY_DATA: Shape = Shape(&[
    f(Text, ALL), // EntityType
    f(Text, ALL).nullable(ALL), // EntityName
]);
static ALTER_CLIENT_QUOTAS_OP_DATA: Shape = Shape(&[
    f(Text, ALL), // Key
    f(B8, ALL), // Value
    f(B1, ALL), // Remove
]);
static ALTER_CLIENT_QUOTAS: Shape = Shape(&[
    f(Array(&Struct(&ALTER_CLIENT_QUOTAS_ENTRY_DATA), size_of::<m::alter_client_quotas_request::EntryData>()), ALL), // Entries
    f(B1, ALL), // ValidateOnly
]);

// DescribeUserScramCredentialsRequest
static DESCRIBE_USER_SCRAM_CREDENTIALS_USER_NAME: Shape = Shape(&[
    f(Text, ALL), // Name
]);
static DESCRIBE_USER_SCRAM_CREDENTIALS: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_USER_SCRAM_CREDENTIALS_USER_NAME), size_of::<m::describe_user_scram_credentials_request::UserName>()), ALL).nullable(ALL), // Users
]);

// AlterUserScramCredentialsRequest
static ALTER_USER_SCRAM_CREDENTIALS_SCRAM_CREDENTIAL_DELETION: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B1, ALL), // Mechanism
]);
static ALTER_USER_SCRAM_CREDENTIALS_SCRAM_CREDENTIAL_UPSERTION: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B1, ALL), // Mechanism
    f(B4, ALL), // Iterations
    f(Blob, ALL), // Salt
    f(Blob, ALL), // SaltedPassword
]);
static ALTER_USER_SCRAM_CREDENTIALS: Shape = Shape(&[
    f(Array(&Struct(&ALTER_USER_SCRAM_CREDENTIALS_SCRAM_CREDENTIAL_DELETION), size_of::<m::alter_user_scram_credentials_request::ScramCredentialDeletion>()), ALL), // Deletions
    f(Array(&Struct(&ALTER_USER_SCRAM_CREDENTIALS_SCRAM_CREDENTIAL_UPSERTION), size_of::<m::alter_user_scram_credentials_request::ScramCredentialUpsertion>()), ALL), // Upsertions
]);

// VoteRequest
static VOTE_TOPIC_DATA: Shape = Shape(&[
    f(Text, ALL), // TopicName
    f(Array(&Struct(&VOTE_PARTITION_DATA), size_of::<m::vote_request::PartitionData>()), ALL), // Partitions
]);
static VOTE_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B4, ALL), // ReplicaEpoch
    f(B4, ALL), // ReplicaId
    f(B16, from(1)), // ReplicaDirectoryId
    f(B16, from(1)), // VoterDirectoryId
    f(B4, ALL), // LastOffsetEpoch
    f(B8, ALL), // LastOffset
    f(B1, from(2)), // PreVote
]);
static VOTE: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // ClusterId
    f(B4, from(1)), // VoterId
    f(Array(&Struct(&VOTE_TOPIC_DATA), size_of::<m::vote_request::TopicData>()), ALL), // Topics
]);

// BeginQuorumEpochRequest
static BEGIN_QUORUM_EPOCH_TOPIC_DATA: Shape = Shape(&[
    f(Text, ALL), // TopicName
    f(Array(&Struct(&BEGIN_QUORUM_EPOCH_PARTITION_DATA), size_of::<m::begin_quorum_epoch_request::PartitionData>()), ALL), // Partitions
]);
static BEGIN_QUORUM_EPOCH_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B16, from(1)), // VoterDirectoryId
    f(B4, ALL), // LeaderId
    f(B4, ALL), // LeaderEpoch
]);
static BEGIN_QUORUM_EPOCH_LEADER_ENDPOINT: Shape = Shape(&[
    f(Text, from(1)), // Name
    f(Text, from(1)), // Host
    f(B2, from(1)), // Port
]);
static BEGIN_QUORUM_EPOCH: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // ClusterId
    f(B4, from(1)), // VoterId
    f(Array(&Struct(&BEGIN_QUORUM_EPOCH_TOPIC_DATA), size_of::<m::begin_quorum_epoch_request::TopicData>()), ALL), // Topics
    f(Array(&Struct(&BEGIN_QUORUM_EPOCH_LEADER_ENDPOINT), size_of::<m::begin_quorum_epoch_request::LeaderEndpoint>()), from(1)), // LeaderEndpoints
]);

// EndQuorumEpochRequest
static END_QUORUM_EPOCH_TOPIC_DATA: Shape = Shape(&[
    f(Text, ALL), // TopicName
    f(Array(&Struct(&END_QUORUM_EPOCH_PARTITION_DATA), size_of::<m::end_quorum_epoch_request::PartitionData>()), ALL), // Partitions
]);
static END_QUORUM_EPOCH_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B4, ALL), // LeaderId
    f(B4, ALL), // LeaderEpoch
    f(Array(&B4, 4), between(0, 0)), // PreferredSuccessors
    f(Array(&Struct(&END_QUORUM_EPOCH_REPLICA_INFO), size_of::<m::end_quorum_epoch_request::ReplicaInfo>()), from(1)), // PreferredCandidates
]);
static END_QUORUM_EPOCH_REPLICA_INFO: Shape = Shape(&[
    f(B4, from(1)), // CandidateId
    f(B16, from(1)), // CandidateDirectoryId
]);
static END_QUORUM_EPOCH_LEADER_ENDPOINT: Shape = Shape(&[
    f(Text, from(1)), // Name
    f(Text, from(1)), // Host
    f(B2, from(1)), // Port
]);
static END_QUORUM_EPOCH: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // ClusterId
    f(Array(&Struct(&END_QUORUM_EPOCH_TOPIC_DATA), size_of::<m::end_quorum_epoch_request::TopicData>()), ALL), // Topics
    f(Array(&Struct(&END_QUORUM_EPOCH_LEADER_ENDPOINT), size_of::<m::end_quorum_epoch_request::LeaderEndpoint>()), from(1)), // LeaderEndpoints
]);

// DescribeQuorumRequest
static DESCRIBE_QUORUM_TOPIC_DATA: Shape = Shape(&[
    f(Text, ALL), // TopicName
    f(Array(&Struct(&DESCRIBE_QUORUM_PARTITION_DATA), size_of::<m::describe_quorum_request::PartitionData>()), ALL), // Partitions
]);
static DESCRIBE_QUORUM_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
]);
static DESCRIBE_QUORUM: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_QUORUM_TOPIC_DATA), size_of::<m::describe_quorum_request::TopicData>()), ALL), // Topics
]);

// AlterPartitionRequest
static ALTER_PARTITION_TOPIC_DATA: Shape = Shape(&[
    f(B16, from(2)), // TopicId
    f(Array(&Struct(&ALTER_PARTITION_PARTITION_DATA), size_of::<m::alter_partition_request::PartitionData>()), ALL), // Partitions
]);
static ALTER_PARTITION_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B4, ALL), // LeaderEpoch
    f(Array(&B4, 4), between(0, 2)), // NewIsr
    f(Array(&Struct(&ALTER_PARTITION_BROKER_STATE), size_of::<m::alter_partition_request::BrokerState>()), from(3)), // NewIsrWithEpochs
    f(B1, from(1)), // LeaderRecoveryState
    f(B4, ALL), // PartitionEpoch
]);
static ALTER_PARTITION_BROKER_STATE: Shape = Shape(&[
    f(B4, from(3)), // BrokerId
    f(B8, from(3)), // BrokerEpoch
]);
static ALTER_PARTITION: Shape = Shape(&[
    f(B4, ALL), // BrokerId
    f(B8, ALL), // BrokerEpoch
    f(Array(&Struct(&ALTER_PARTITION_TOPIC_DATA), size_of::<m::alter_partition_request::TopicData>()), ALL), // Topics
]);

// UpdateFeaturesRequest
static UPDATE_FEATURES_FEATURE_UPDATE_KEY: Shape = Shape(&[
    f(Text, ALL), // Feature
    f(B2, ALL), // MaxVersionLevel
    f(B1, between(0, 0)), // AllowDowngrade
    f(B1, from(1)), // UpgradeType
]);
static UPDATE_FEATURES: Shape = Shape(&[
    f(B4, ALL), // timeoutMs
    f(Array(&Struct(&UPDATE_FEATURES_FEATURE_UPDATE_KEY), size_of::<m::update_features_request::FeatureUpdateKey>()), ALL), // FeatureUpdates
    f(B1, from(1)), // ValidateOnly
]);

// EnvelopeRequest
static ENVELOPE: Shape = Shape(&[
    f(Blob, ALL), // RequestData
    f(Blob, ALL).nullable(ALL), // RequestPrincipal
    f(Blob, ALL), // ClientHostAddress
]);

// FetchSnapshotRequest
static FETCH_SNAPSHOT_TOPIC_SNAPSHOT: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&Struct(&FETCH_SNAPSHOT_PARTITION_SNAPSHOT), size_of::<m::fetch_snapshot_request::PartitionSnapshot>()), ALL), // Partitions
]);
static FETCH_SNAPSHOT_PARTITION_SNAPSHOT: Shape = Shape(&[
    f(B4, ALL), // Partition
    f(B4, ALL), // CurrentLeaderEpoch
    f(Struct(&FETCH_SNAPSHOT_SNAPSHOT_ID), ALL), // SnapshotId
    f(B8, ALL), // Position
    f(B16, from(1)).tag(0), // ReplicaDirectoryId
]);
static FETCH_SNAPSHOT_SNAPSHOT_ID: Shape = Shape(&[
    f(B8, ALL), // EndOffset
    f(B4, ALL), // Epoch
]);
static FETCH_SNAPSHOT: Shape = Shape(&[
    f(Text, ALL).nullable(ALL).tag(0), // ClusterId
    f(B4, ALL), // ReplicaId
    f(B4, ALL), // MaxBytes
    f(Array(&Struct(&FETCH_SNAPSHOT_TOPIC_SNAPSHOT), size_of::<m::fetch_snapshot_request::TopicSnapshot>()), ALL), // Topics
]);

// DescribeClusterRequest
static DESCRIBE_CLUSTER: Shape = Shape(&[
    f(B1, ALL), // IncludeClusterAuthorizedOperations
    f(B1, from(1)), // EndpointType
    f(B1, from(2)), // IncludeFencedBrokers
]);

// DescribeProducersRequest
static DESCRIBE_PRODUCERS_TOPIC_REQUEST: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Array(&B4, 4), ALL), // PartitionIndexes
]);
static DESCRIBE_PRODUCERS: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_PRODUCERS_TOPIC_REQUEST), size_of::<m::describe_producers_request::TopicRequest>()), ALL), // Topics
]);

// BrokerRegistrationRequest
static BROKER_REGISTRATION_LISTENER: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Text, ALL), // Host
    f(B2, ALL), // Port
    f(B2, ALL), // SecurityProtocol
]);
static BROKER_REGISTRATION_FEATURE: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B2, ALL), // MinSupportedVersion
    f(B2, ALL), // MaxSupportedVersion
]);
static BROKER_REGISTRATION: Shape = Shape(&[
    f(B4, ALL), // BrokerId
    f(Text, ALL), // ClusterId
    f(B16, ALL), // IncarnationId
    f(Array(&Struct(&BROKER_REGISTRATION_LISTENER), size_of::<m::broker_registration_request::Listener>()), ALL), // Listeners
    f(Array(&Struct(&BROKER_REGISTRATION_FEATURE), size_of::<m::broker_registration_request::Feature>()), ALL), // Features
    f(Text, ALL).nullable(ALL), // Rack
    f(B1, from(1)), // IsMigratingZkBroker
    f(Array(&B16, 16), from(2)), // LogDirs
    f(B8, from(3)), // PreviousBrokerEpoch
]);

// BrokerHeartbeatRequest
static BROKER_HEARTBEAT: Shape = Shape(&[
    f(B4, ALL), // BrokerId
    f(B8, ALL), // BrokerEpoch
    f(B8, ALL), // CurrentMetadataOffset
    f(B1, ALL), // WantFence
    f(B1, ALL), // WantShutDown
    f(Array(&B16, 16), from(1)).tag(0), // OfflineLogDirs
    f(Array(&B16, 16), from(2)).nullable(from(2)).tag(1), // CordonedLogDirs
]);

// UnregisterBrokerRequest
static UNREGISTER_BROKER: Shape = Shape(&[
    f(B4, ALL), // BrokerId
]);

// DescribeTransactionsRequest
static DESCRIBE_TRANSACTIONS: Shape = Shape(&[
    f(Array(&Text, 32), ALL), // TransactionalIds
]);

// ListTransactionsRequest
static LIST_TRANSACTIONS: Shape = Shape(&[
    f(Array(&Text, 32), ALL), // StateFilters
    f(Array(&B8, 8), ALL), // ProducerIdFilters
    f(B8, from(1)), // DurationFilter
    f(Text, from(2)).nullable(from(2)), // TransactionalIdPattern
]);

// AllocateProducerIdsRequest
static ALLOCATE_PRODUCER_IDS: Shape = Shape(&[
    f(B4, ALL), // BrokerId
    f(B8, ALL), // BrokerEpoch
]);

// ConsumerGroupHeartbeatRequest
static CONSUMER_GROUP_HEARTBEAT_TOPIC_PARTITIONS: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&B4, 4), ALL), // Partitions
]);
static CONSUMER_GROUP_HEARTBEAT: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Text, ALL), // MemberId
    f(B4, ALL), // MemberEpoch
    f(Text, ALL).nullable(ALL), // InstanceId
    f(Text, ALL).nullable(ALL), // RackId
    f(B4, ALL), // RebalanceTimeoutMs
    f(Array(&Text, 32), ALL).nullable(ALL), // SubscribedTopicNames
    f(Text, from(1)).nullable(from(1)), // SubscribedTopicRegex
    f(Text, ALL).nullable(ALL), // ServerAssignor
    f(Array(&Struct(&CONSUMER_GROUP_HEARTBEAT_TOPIC_PARTITIONS), size_of::<m::consumer_group_heartbeat_request::TopicPartitions>()), ALL).nullable(ALL), // TopicPartitions
]);

// ConsumerGroupDescribeRequest
static CONSUMER_GROUP_DESCRIBE: Shape = Shape(&[
    f(Array(&Text, 32), ALL), // GroupIds
    f(B1, ALL), // IncludeAuthorizedOperations
]);

// ControllerRegistrationRequest
static CONTROLLER_REGISTRATION_LISTENER: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Text, ALL), // Host
    f(B2, ALL), // Port
    f(B2, ALL), // SecurityProtocol
]);
static CONTROLLER_REGISTRATION_FEATURE: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B2, ALL), // MinSupportedVersion
    f(B2, ALL), // MaxSupportedVersion
]);
static CONTROLLER_REGISTRATION: Shape = Shape(&[
    f(B4, ALL), // ControllerId
    f(B16, ALL), // IncarnationId
    f(B1, ALL), // ZkMigrationReady
    f(Array(&Struct(&CONTROLLER_REGISTRATION_LISTENER), size_of::<m::controller_registration_request::Listener>()), ALL), // Listeners
    f(Array(&Struct(&CONTROLLER_REGISTRATION_FEATURE), size_of::<m::controller_registration_request::Feature>()), ALL), // Features
]);

// GetTelemetrySubscriptionsRequest
static GET_TELEMETRY_SUBSCRIPTIONS: Shape = Shape(&[
    f(B16, ALL), // ClientInstanceId
]);

// PushTelemetryRequest
static PUSH_TELEMETRY: Shape = Shape(&[
    f(B16, ALL), // ClientInstanceId
    f(B4, ALL), // SubscriptionId
    f(B1, ALL), // Terminating
    f(B1, ALL), // CompressionType
    f(Blob, ALL), // Metrics
]);

// AssignReplicasToDirsRequest
static ASSIGN_REPLICAS_TO_DIRS_DIRECTORY_DATA: Shape = Shape(&[
    f(B16, ALL), // Id
    f(Array(&Struct(&ASSIGN_REPLICAS_TO_DIRS_TOPIC_DATA), size_of::<m::assign_replicas_to_dirs_request::TopicData>()), ALL), // Topics
]);
static ASSIGN_REPLICAS_TO_DIRS_TOPIC_DATA: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&ASSIGN_REPLICAS_TO_DIRS_PARTITION_DATA), size_of::<m::assign_replicas_to_dirs_request::PartitionData>()), ALL), // Partitions
]);
static ASSIGN_REPLICAS_TO_DIRS_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
]);
static ASSIGN_REPLICAS_TO_DIRS: Shape = Shape(&[
    f(B4, ALL), // BrokerId
    f(B8, ALL), // BrokerEpoch
    f(Array(&Struct(&ASSIGN_REPLICAS_TO_DIRS_DIRECTORY_DATA), size_of::<m::assign_replicas_to_dirs_request::DirectoryData>()), ALL), // Directories
]);

// ListConfigResourcesRequest
static LIST_CONFIG_RESOURCES: Shape = Shape(&[
    f(Array(&B1, 1), from(1)), // ResourceTypes
]);

// DescribeTopicPartitionsRequest
static DESCRIBE_TOPIC_PARTITIONS_TOPIC_REQUEST: Shape = Shape(&[
    f(Text, ALL), // Name
]);
static DESCRIBE_TOPIC_PARTITIONS_CURSOR: Shape = Shape(&[
    f(Text, ALL), // TopicName
    f(B4, ALL), // PartitionIndex
]);
static DESCRIBE_TOPIC_PARTITIONS: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_TOPIC_PARTITIONS_TOPIC_REQUEST), size_of::<m::describe_topic_partitions_request::TopicRequest>()), ALL), // Topics
    f(B4, ALL), // ResponsePartitionLimit
    f(Struct(&DESCRIBE_TOPIC_PARTITIONS_CURSOR), ALL).nullable(ALL), // Cursor
]);

// ShareGroupHeartbeatRequest
static SHARE_GROUP_HEARTBEAT: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Text, ALL), // MemberId
    f(B4, ALL), // MemberEpoch
    f(Text, ALL).nullable(ALL), // RackId
    f(Array(&Text, 32), ALL).nullable(ALL), // SubscribedTopicNames
]);

// ShareGroupDescribeRequest
static SHARE_GROUP_DESCRIBE: Shape = Shape(&[
    f(Array(&Text, 32), ALL), // GroupIds
    f(B1, ALL), // IncludeAuthorizedOperations
]);

// ShareFetchRequest
static SHARE_FETCH_FETCH_TOPIC: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&SHARE_FETCH_FETCH_PARTITION), size_of::<m::share_fetch_request::FetchPartition>()), ALL), // Partitions
]);
static SHARE_FETCH_FETCH_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B4, between(0, 0)), // PartitionMaxBytes
    f(Array(&Struct(&SHARE_FETCH_ACKNOWLEDGEMENT_BATCH), size_of::<m::share_fetch_request::AcknowledgementBatch>()), ALL), // AcknowledgementBatches
]);
static SHARE_FETCH_ACKNOWLEDGEMENT_BATCH: Shape = Shape(&[
    f(B8, ALL), // FirstOffset
    f(B8, ALL), // LastOffset
    f(Array(&B1, 1), ALL), // AcknowledgeTypes
]);
static SHARE_FETCH_FORGOTTEN_TOPIC: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&B4, 4), ALL), // Partitions
]);
static SHARE_FETCH: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // GroupId
    f(Text, ALL).nullable(ALL), // MemberId
    f(B4, ALL), // ShareSessionEpoch
    f(B4, ALL), // MaxWaitMs
    f(B4, ALL), // MinBytes
    f(B4, ALL), // MaxBytes
    f(B4, from(1)), // MaxRecords
    f(B4, from(1)), // BatchSize
    f(B1, from(2)), // ShareAcquireMode
    f(B1, from(2)), // IsRenewAck
    f(Array(&Struct(&SHARE_FETCH_FETCH_TOPIC), size_of::<m::share_fetch_request::FetchTopic>()), ALL), // Topics
    f(Array(&Struct(&SHARE_FETCH_FORGOTTEN_TOPIC), size_of::<m::share_fetch_request::ForgottenTopic>()), ALL), // ForgottenTopicsData
]);

// ShareAcknowledgeRequest
static SHARE_ACKNOWLEDGE_ACKNOWLEDGE_TOPIC: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&SHARE_ACKNOWLEDGE_ACKNOWLEDGE_PARTITION), size_of::<m::share_acknowledge_request::AcknowledgePartition>()), ALL), // Partitions
]);
static SHARE_ACKNOWLEDGE_ACKNOWLEDGE_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(Array(&Struct(&SHARE_ACKNOWLEDGE_ACKNOWLEDGEMENT_BATCH), size_of::<m::share_acknowledge_request::AcknowledgementBatch>()), ALL), // AcknowledgementBatches
]);
static SHARE_ACKNOWLEDGE_ACKNOWLEDGEMENT_BATCH: Shape = Shape(&[
    f(B8, ALL), // FirstOffset
    f(B8, ALL), // LastOffset
    f(Array(&B1, 1), ALL), // AcknowledgeTypes
]);
static SHARE_ACKNOWLEDGE: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // GroupId
    f(Text, ALL).nullable(ALL), // MemberId
    f(B4, ALL), // ShareSessionEpoch
    f(B1, from(2)), // IsRenewAck
    f(Array(&Struct(&SHARE_ACKNOWLEDGE_ACKNOWLEDGE_TOPIC), size_of::<m::share_acknowledge_request::AcknowledgeTopic>()), ALL), // Topics
]);

// AddRaftVoterRequest
static ADD_RAFT_VOTER_LISTENER: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Text, ALL), // Host
    f(B2, ALL), // Port
]);
static ADD_RAFT_VOTER: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // ClusterId
    f(B4, ALL), // TimeoutMs
    f(B4, ALL), // VoterId
    f(B16, ALL), // VoterDirectoryId
    f(Array(&Struct(&ADD_RAFT_VOTER_LISTENER), size_of::<m::add_raft_voter_request::Listener>()), ALL), // Listeners
    f(B1, from(1)), // AckWhenCommitted
]);

// RemoveRaftVoterRequest
static REMOVE_RAFT_VOTER: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // ClusterId
    f(B4, ALL), // VoterId
    f(B16, ALL), // VoterDirectoryId
]);

// UpdateRaftVoterRequest
static UPDATE_RAFT_VOTER_LISTENER: Shape = Shape(&[
    f(Text, ALL), // Name
    f(Text, ALL), // Host
    f(B2, ALL), // Port
]);
static UPDATE_RAFT_VOTER_K_RAFT_VERSION_FEATURE: Shape = Shape(&[
    f(B2, ALL), // MinSupportedVersion
    f(B2, ALL), // MaxSupportedVersion
]);
static UPDATE_RAFT_VOTER: Shape = Shape(&[
    f(Text, ALL).nullable(ALL), // ClusterId
    f(B4, ALL), // CurrentLeaderEpoch
    f(B4, ALL), // VoterId
    f(B16, ALL), // VoterDirectoryId
    f(Array(&Struct(&UPDATE_RAFT_VOTER_LISTENER), size_of::<m::update_raft_voter_request::Listener>()), ALL), // Listeners
    f(Struct(&UPDATE_RAFT_VOTER_K_RAFT_VERSION_FEATURE), ALL), // KRaftVersionFeature
]);

// InitializeShareGroupStateRequest
static INITIALIZE_SHARE_GROUP_STATE_INITIALIZE_STATE_DATA: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&INITIALIZE_SHARE_GROUP_STATE_PARTITION_DATA), size_of::<m::initialize_share_group_state_request::PartitionData>()), ALL), // Partitions
]);
static INITIALIZE_SHARE_GROUP_STATE_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // Partition
    f(B4, ALL), // StateEpoch
    f(B8, ALL), // StartOffset
]);
static INITIALIZE_SHARE_GROUP_STATE: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&INITIALIZE_SHARE_GROUP_STATE_INITIALIZE_STATE_DATA), size_of::<m::initialize_share_group_state_request::InitializeStateData>()), ALL), // Topics
]);

// ReadShareGroupStateRequest
static READ_SHARE_GROUP_STATE_READ_STATE_DATA: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&READ_SHARE_GROUP_STATE_PARTITION_DATA), size_of::<m::read_share_group_state_request::PartitionData>()), ALL), // Partitions
]);
static READ_SHARE_GROUP_STATE_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // Partition
    f(B4, ALL), // LeaderEpoch
]);
static READ_SHARE_GROUP_STATE: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&READ_SHARE_GROUP_STATE_READ_STATE_DATA), size_of::<m::read_share_group_state_request::ReadStateData>()), ALL), // Topics
]);

// WriteShareGroupStateRequest
static WRITE_SHARE_GROUP_STATE_WRITE_STATE_DATA: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&WRITE_SHARE_GROUP_STATE_PARTITION_DATA), size_of::<m::write_share_group_state_request::PartitionData>()), ALL), // Partitions
]);
static WRITE_SHARE_GROUP_STATE_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // Partition
    f(B4, ALL), // StateEpoch
    f(B4, ALL), // LeaderEpoch
    f(B8, ALL), // StartOffset
    f(B4, from(1)), // DeliveryCompleteCount
    f(Array(&Struct(&WRITE_SHARE_GROUP_STATE_STATE_BATCH), size_of::<m::write_share_group_state_request::StateBatch>()), ALL), // StateBatches
]);
static WRITE_SHARE_GROUP_STATE_STATE_BATCH: Shape = Shape(&[
    f(B8, ALL), // FirstOffset
    f(B8, ALL), // LastOffset
    f(B1, ALL), // DeliveryState
    f(B2, ALL), // DeliveryCount
]);
static WRITE_SHARE_GROUP_STATE: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&WRITE_SHARE_GROUP_STATE_WRITE_STATE_DATA), size_of::<m::write_share_group_state_request::WriteStateData>()), ALL), // Topics
]);

// DeleteShareGroupStateRequest
static DELETE_SHARE_GROUP_STATE_DELETE_STATE_DATA: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&DELETE_SHARE_GROUP_STATE_PARTITION_DATA), size_of::<m::delete_share_group_state_request::PartitionData>()), ALL), // Partitions
]);
static DELETE_SHARE_GROUP_STATE_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // Partition
]);
static DELETE_SHARE_GROUP_STATE: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&DELETE_SHARE_GROUP_STATE_DELETE_STATE_DATA), size_of::<m::delete_share_group_state_request::DeleteStateData>()), ALL), // Topics
]);

// ReadShareGroupStateSummaryRequest
static READ_SHARE_GROUP_STATE_SUMMARY_READ_STATE_SUMMARY_DATA: Shape = Shape(&[
    f(B16, ALL), // TopicId
    f(Array(&Struct(&READ_SHARE_GROUP_STATE_SUMMARY_PARTITION_DATA), size_of::<m::read_share_group_state_summary_request::PartitionData>()), ALL), // Partitions
]);
static READ_SHARE_GROUP_STATE_SUMMARY_PARTITION_DATA: Shape = Shape(&[
    f(B4, ALL), // Partition
    f(B4, ALL), // LeaderEpoch
]);
static READ_SHARE_GROUP_STATE_SUMMARY: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&READ_SHARE_GROUP_STATE_SUMMARY_READ_STATE_SUMMARY_DATA), size_of::<m::read_share_group_state_summary_request::ReadStateSummaryData>()), ALL), // Topics
]);

// StreamsGroupHeartbeatRequest
static STREAMS_GROUP_HEARTBEAT_KEY_VALUE: Shape = Shape(&[
    f(Text, ALL), // Key
    f(Text, ALL), // Value
]);
static STREAMS_GROUP_HEARTBEAT_TOPIC_INFO: Shape = Shape(&[
    f(Text, ALL), // Name
    f(B4, ALL), // Partitions
    f(B2, ALL), // ReplicationFactor
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_KEY_VALUE), 96), ALL), // TopicConfigs
]);
static STREAMS_GROUP_HEARTBEAT_ENDPOINT: Shape = Shape(&[
    f(Text, ALL), // Host
    f(B2, ALL), // Port
]);
static STREAMS_GROUP_HEARTBEAT_TASK_OFFSET: Shape = Shape(&[
    f(Text, ALL), // SubtopologyId
    f(B4, ALL), // Partition
    f(B8, ALL), // Offset
]);
static STREAMS_GROUP_HEARTBEAT_TASK_IDS: Shape = Shape(&[
    f(Text, ALL), // SubtopologyId
    f(Array(&B4, 4), ALL), // Partitions
]);
static STREAMS_GROUP_HEARTBEAT_TOPOLOGY: Shape = Shape(&[
    f(B4, ALL), // Epoch
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_SUBTOPOLOGY), 256), ALL), // Subtopologies
]);
static STREAMS_GROUP_HEARTBEAT_SUBTOPOLOGY: Shape = Shape(&[
    f(Text, ALL), // SubtopologyId
    f(Array(&Text, 32), ALL), // SourceTopics
    f(Array(&Text, 32), ALL), // SourceTopicRegex
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_TOPIC_INFO), 160), ALL), // StateChangelogTopics
    f(Array(&Text, 32), ALL), // RepartitionSinkTopics
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_TOPIC_INFO), 160), ALL), // RepartitionSourceTopics
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_COPARTITION_GROUP), 128), ALL), // CopartitionGroups
]);
static STREAMS_GROUP_HEARTBEAT_COPARTITION_GROUP: Shape = Shape(&[
    f(Array(&B2, 2), ALL), // SourceTopics
    f(Array(&B2, 2), ALL), // SourceTopicRegex
    f(Array(&B2, 2), ALL), // RepartitionSourceTopics
]);
static STREAMS_GROUP_HEARTBEAT: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Text, ALL), // MemberId
    f(B4, ALL), // MemberEpoch
    f(B4, ALL), // EndpointInformationEpoch
    f(Text, ALL).nullable(ALL), // InstanceId
    f(Text, ALL).nullable(ALL), // RackId
    f(B4, ALL), // RebalanceTimeoutMs
    f(Struct(&STREAMS_GROUP_HEARTBEAT_TOPOLOGY), ALL).nullable(ALL), // Topology
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_TASK_IDS), 96), ALL).nullable(ALL), // ActiveTasks
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_TASK_IDS), 96), ALL).nullable(ALL), // StandbyTasks
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_TASK_IDS), 96), ALL).nullable(ALL), // WarmupTasks
    f(Text, ALL).nullable(ALL), // ProcessId
    f(Struct(&STREAMS_GROUP_HEARTBEAT_ENDPOINT), ALL).nullable(ALL), // UserEndpoint
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_KEY_VALUE), 96), ALL).nullable(ALL), // ClientTags
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_TASK_OFFSET), 128), ALL).nullable(ALL), // TaskOffsets
    f(Array(&Struct(&STREAMS_GROUP_HEARTBEAT_TASK_OFFSET), 128), ALL).nullable(ALL), // TaskEndOffsets
    f(B1, ALL), // ShutdownApplication
]);

// StreamsGroupDescribeRequest
static STREAMS_GROUP_DESCRIBE: Shape = Shape(&[
    f(Array(&Text, 32), ALL), // GroupIds
    f(B1, ALL), // IncludeAuthorizedOperations
]);

// DescribeShareGroupOffsetsRequest
static DESCRIBE_SHARE_GROUP_OFFSETS_DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_GROUP: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&DESCRIBE_SHARE_GROUP_OFFSETS_DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC), size_of::<m::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic>()), ALL).nullable(ALL), // Topics
]);
static DESCRIBE_SHARE_GROUP_OFFSETS_DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: Shape = Shape(&[
    f(Text, ALL), // TopicName
    f(Array(&B4, 4), ALL), // Partitions
]);
static DESCRIBE_SHARE_GROUP_OFFSETS: Shape = Shape(&[
    f(Array(&Struct(&DESCRIBE_SHARE_GROUP_OFFSETS_DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_GROUP), size_of::<m::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup>()), ALL), // Groups
]);

// AlterShareGroupOffsetsRequest
static ALTER_SHARE_GROUP_OFFSETS_ALTER_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: Shape = Shape(&[
    f(Text, ALL), // TopicName
    f(Array(&Struct(&ALTER_SHARE_GROUP_OFFSETS_ALTER_SHARE_GROUP_OFFSETS_REQUEST_PARTITION), size_of::<m::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestPartition>()), ALL), // Partitions
]);
static ALTER_SHARE_GROUP_OFFSETS_ALTER_SHARE_GROUP_OFFSETS_REQUEST_PARTITION: Shape = Shape(&[
    f(B4, ALL), // PartitionIndex
    f(B8, ALL), // StartOffset
]);
static ALTER_SHARE_GROUP_OFFSETS: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&ALTER_SHARE_GROUP_OFFSETS_ALTER_SHARE_GROUP_OFFSETS_REQUEST_TOPIC), size_of::<m::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic>()), ALL), // Topics
]);

// DeleteShareGroupOffsetsRequest
static DELETE_SHARE_GROUP_OFFSETS_DELETE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: Shape = Shape(&[
    f(Text, ALL), // TopicName
]);
static DELETE_SHARE_GROUP_OFFSETS: Shape = Shape(&[
    f(Text, ALL), // GroupId
    f(Array(&Struct(&DELETE_SHARE_GROUP_OFFSETS_DELETE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC), size_of::<m::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic>()), ALL), // Topics
]);

/// Every request, in the order of their keys.
pub static MESSAGES: &[Message] = &[
    Message { key: 0, name: "Produce", versions: between(3, 13), flexible: from(9), body: &PRODUCE },
    Message { key: 1, name: "Fetch", versions: between(4, 18), flexible: from(12), body: &FETCH },
    Message { key: 2, name: "ListOffsets", versions: between(1, 11), flexible: from(6), body: &LIST_OFFSETS },
    Message { key: 3, name: "Metadata", versions: between(0, 13), flexible: from(9), body: &METADATA },
    Message { key: 8, name: "OffsetCommit", versions: between(2, 10), flexible: from(8), body: &OFFSET_COMMIT },
    Message { key: 9, name: "OffsetFetch", versions: between(1, 10), flexible: from(6), body: &OFFSET_FETCH },
    Message { key: 10, name: "FindCoordinator", versions: between(0, 6), flexible: from(3), body: &FIND_COORDINATOR },
    Message { key: 11, name: "JoinGroup", versions: between(0, 9), flexible: from(6), body: &JOIN_GROUP },
    Message { key: 12, name: "Heartbeat", versions: between(0, 4), flexible: from(4), body: &HEARTBEAT },
    Message { key: 13, name: "LeaveGroup", versions: between(0, 5), flexible: from(4), body: &LEAVE_GROUP },
    Message { key: 14, name: "SyncGroup", versions: between(0, 5), flexible: from(4), body: &SYNC_GROUP },
    Message { key: 15, name: "DescribeGroups", versions: between(0, 6), flexible: from(5), body: &DESCRIBE_GROUPS },
    Message { key: 16, name: "ListGroups", versions: between(0, 5), flexible: from(3), body: &LIST_GROUPS },
    Message { key: 17, name: "SaslHandshake", versions: between(0, 1), flexible: NONE, body: &SASL_HANDSHAKE },
    Message { key: 18, name: "ApiVersions", versions: between(0, 4), flexible: from(3), body: &API_VERSIONS },
    Message { key: 19, name: "CreateTopics", versions: between(2, 7), flexible: from(5), body: &CREATE_TOPICS },
    Message { key: 20, name: "DeleteTopics", versions: between(1, 6), flexible: from(4), body: &DELETE_TOPICS },
    Message { key: 21, name: "DeleteRecords", versions: between(0, 2), flexible: from(2), body: &DELETE_RECORDS },
    Message { key: 22, name: "InitProducerId", versions: between(0, 6), flexible: from(2), body: &INIT_PRODUCER_ID },
    Message { key: 23, name: "OffsetForLeaderEpoch", versions: between(2, 4), flexible: from(4), body: &OFFSET_FOR_LEADER_EPOCH },
    Message { key: 24, name: "AddPartitionsToTxn", versions: between(0, 5), flexible: from(3), body: &ADD_PARTITIONS_TO_TXN },
    Message { key: 25, name: "AddOffsetsToTxn", versions: between(0, 4), flexible: from(3), body: &ADD_OFFSETS_TO_TXN },
    Message { key: 26, name: "EndTxn", versions: between(0, 5), flexible: from(3), body: &END_TXN },
    Message { key: 27, name: "WriteTxnMarkers", versions: between(1, 2), flexible: from(1), body: &WRITE_TXN_MARKERS },
    Message { key: 28, name: "TxnOffsetCommit", versions: between(0, 5), flexible: from(3), body: &TXN_OFFSET_COMMIT },
    Message { key: 29, name: "DescribeAcls", versions: between(1, 3), flexible: from(2), body: &DESCRIBE_ACLS },
    Message { key: 30, name: "CreateAcls", versions: between(1, 3), flexible: from(2), body: &CREATE_ACLS },
    Message { key: 31, name: "DeleteAcls", versions: between(1, 3), flexible: from(2), body: &DELETE_ACLS },
    Message { key: 32, name: "DescribeConfigs", versions: between(1, 4), flexible: from(4), body: &DESCRIBE_CONFIGS },
    Message { key: 33, name: "AlterConfigs", versions: between(0, 2), flexible: from(2), body: &ALTER_CONFIGS },
    Message { key: 34, name: "AlterReplicaLogDirs", versions: between(1, 2), flexible: from(2), body: &ALTER_REPLICA_LOG_DIRS },
    Message { key: 35, name: "DescribeLogDirs", versions: between(1, 5), flexible: from(2), body: &DESCRIBE_LOG_DIRS },
    Message { key: 36, name: "SaslAuthenticate", versions: between(0, 2), flexible: from(2), body: &SASL_AUTHENTICATE },
    Message { key: 37, name: "CreatePartitions", versions: between(0, 3), flexible: from(2), body: &CREATE_PARTITIONS },
    Message { key: 38, name: "CreateDelegationToken", versions: between(1, 3), flexible: from(2), body: &CREATE_DELEGATION_TOKEN },
    Message { key: 39, name: "RenewDelegationToken", versions: between(1, 2), flexible: from(2), body: &RENEW_DELEGATION_TOKEN },
    Message { key: 40, name: "ExpireDelegationToken", versions: between(1, 2), flexible: from(2), body: &EXPIRE_DELEGATION_TOKEN },
    Message { key: 41, name: "DescribeDelegationToken", versions: between(1, 3), flexible: from(2), body: &DESCRIBE_DELEGATION_TOKEN },
    Message { key: 42, name: "DeleteGroups", versions: between(0, 2), flexible: from(2), body: &DELETE_GROUPS },
    Message { key: 43, name: "ElectLeaders", versions: between(0, 2), flexible: from(2), body: &ELECT_LEADERS },
    Message { key: 44, name: "IncrementalAlterConfigs", versions: between(0, 1), flexible: from(1), body: &INCREMENTAL_ALTER_CONFIGS },
    Message { key: 45, name: "AlterPartitionReassignments", versions: between(0, 1), flexible: ALL, body: &ALTER_PARTITION_REASSIGNMENTS },
    Message { key: 46, name: "ListPartitionReassignments", versions: between(0, 0), flexible: ALL, body: &LIST_PARTITION_REASSIGNMENTS },
    Message { key: 47, name: "OffsetDelete", versions: between(0, 0), flexible: NONE, body: &OFFSET_DELETE },
    Message { key: 48, name: "DescribeClientQuotas", versions: between(0, 1), flexible: from(1), body: &DESCRIBE_CLIENT_QUOTAS },
    Message { key: 49, name: "AlterClientQuotas", versions: between(0, 1), flexible: from(1), body: &ALTER_CLIENT_QUOTAS },
    Message { key: 50, name: "DescribeUserScramCredentials", versions: between(0, 0), flexible: ALL, body: &DESCRIBE_USER_SCRAM_CREDENTIALS },
    Message { key: 51, name: "AlterUserScramCredentials", versions: between(0, 0), flexible: ALL, body: &ALTER_USER_SCRAM_CREDENTIALS },
    Message { key: 52, name: "Vote", versions: between(0, 2), flexible: ALL, body: &VOTE },
    Message { key: 53, name: "BeginQuorumEpoch", versions: between(0, 1), flexible: from(1), body: &BEGIN_QUORUM_EPOCH },
    Message { key: 54, name: "EndQuorumEpoch", versions: between(0, 1), flexible: from(1), body: &END_QUORUM_EPOCH },
    Message { key: 55, name: "DescribeQuorum", versions: between(0, 2), flexible: ALL, body: &DESCRIBE_QUORUM },
    Message { key: 56, name: "AlterPartition", versions: between(2, 3), flexible: ALL, body: &ALTER_PARTITION },
    Message { key: 57, name: "UpdateFeatures", versions: between(0, 2), flexible: ALL, body: &UPDATE_FEATURES },
    Message { key: 58, name: "Envelope", versions: between(0, 0), flexible: ALL, body: &ENVELOPE },
    Message { key: 59, name: "FetchSnapshot", versions: between(0, 1), flexible: ALL, body: &FETCH_SNAPSHOT },
    Message { key: 60, name: "DescribeCluster", versions: between(0, 2), flexible: ALL, body: &DESCRIBE_CLUSTER },
    Message { key: 61, name: "DescribeProducers", versions: between(0, 0), flexible: ALL, body: &DESCRIBE_PRODUCERS },
    Message { key: 62, name: "BrokerRegistration", versions: between(0, 4), flexible: ALL, body: &BROKER_REGISTRATION },
    Message { key: 63, name: "BrokerHeartbeat", versions: between(0, 2), flexible: ALL, body: &BROKER_HEARTBEAT },
    Message { key: 64, name: "UnregisterBroker", versions: between(0, 0), flexible: ALL, body: &UNREGISTER_BROKER },
    Message { key: 65, name: "DescribeTransactions", versions: between(0, 0), flexible: ALL, body: &DESCRIBE_TRANSACTIONS },
    Message { key: 66, name: "ListTransactions", versions: between(0, 2), flexible: ALL, body: &LIST_TRANSACTIONS },
    Message { key: 67, name: "AllocateProducerIds", versions: between(0, 0), flexible: ALL, body: &ALLOCATE_PRODUCER_IDS },
    Message { key: 68, name: "ConsumerGroupHeartbeat", versions: between(0, 1), flexible: ALL, body: &CONSUMER_GROUP_HEARTBEAT },
    Message { key: 69, name: "ConsumerGroupDescribe", versions: between(0, 1), flexible: ALL, body: &CONSUMER_GROUP_DESCRIBE },
    Message { key: 70, name: "ControllerRegistration", versions: between(0, 0), flexible: ALL, body: &CONTROLLER_REGISTRATION },
    Message { key: 71, name: "GetTelemetrySubscriptions", versions: between(0, 0), flexible: ALL, body: &GET_TELEMETRY_SUBSCRIPTIONS },
    Message { key: 72, name: "PushTelemetry", versions: between(0, 0), flexible: ALL, body: &PUSH_TELEMETRY },
    Message { key: 73, name: "AssignReplicasToDirs", versions: between(0, 0), flexible: ALL, body: &ASSIGN_REPLICAS_TO_DIRS },
    Message { key: 74, name: "ListConfigResources", versions: between(0, 1), flexible: ALL, body: &LIST_CONFIG_RESOURCES },
    Message { key: 75, name: "DescribeTopicPartitions", versions: between(0, 0), flexible: ALL, body: &DESCRIBE_TOPIC_PARTITIONS },
    Message { key: 76, name: "ShareGroupHeartbeat", versions: between(1, 1), flexible: ALL, body: &SHARE_GROUP_HEARTBEAT },
    Message { key: 77, name: "ShareGroupDescribe", versions: between(1, 1), flexible: ALL, body: &SHARE_GROUP_DESCRIBE },
    Message { key: 78, name: "ShareFetch", versions: between(1, 2), flexible: ALL, body: &SHARE_FETCH },
    Message { key: 79, name: "ShareAcknowledge", versions: between(1, 2), flexible: ALL, body: &SHARE_ACKNOWLEDGE },
    Message { key: 80, name: "AddRaftVoter", versions: between(0, 1), flexible: ALL, body: &ADD_RAFT_VOTER },
    Message { key: 81, name: "RemoveRaftVoter", versions: between(0, 0), flexible: ALL, body: &REMOVE_RAFT_VOTER },
    Message { key: 82, name: "UpdateRaftVoter", versions: between(0, 0), flexible: ALL, body: &UPDATE_RAFT_VOTER },
    Message { key: 83, name: "InitializeShareGroupState", versions: between(0, 0), flexible: ALL, body: &INITIALIZE_SHARE_GROUP_STATE },
    Message { key: 84, name: "ReadShareGroupState", versions: between(0, 0), flexible: ALL, body: &READ_SHARE_GROUP_STATE },
    Message { key: 85, name: "WriteShareGroupState", versions: between(0, 1), flexible: ALL, body: &WRITE_SHARE_GROUP_STATE },
    Message { key: 86, name: "DeleteShareGroupState", versions: between(0, 0), flexible: ALL, body: &DELETE_SHARE_GROUP_STATE },
    Message { key: 87, name: "ReadShareGroupStateSummary", versions: between(0, 1), flexible: ALL, body: &READ_SHARE_GROUP_STATE_SUMMARY },
    Message { key: 88, name: "StreamsGroupHeartbeat", versions: between(0, 0), flexible: ALL, body: &STREAMS_GROUP_HEARTBEAT },
    Message { key: 89, name: "StreamsGroupDescribe", versions: between(0, 0), flexible: ALL, body: &STREAMS_GROUP_DESCRIBE },
    Message { key: 90, name: "DescribeShareGroupOffsets", versions: between(0, 1), flexible: ALL, body: &DESCRIBE_SHARE_GROUP_OFFSETS },
    Message { key: 91, name: "AlterShareGroupOffsets", versions: between(0, 0), flexible: ALL, body: &ALTER_SHARE_GROUP_OFFSETS },
    Message { key: 92, name: "DeleteShareGroupOffsets", versions: between(0, 0), flexible: ALL, body: &DELETE_SHARE_GROUP_OFFSETS },
];
