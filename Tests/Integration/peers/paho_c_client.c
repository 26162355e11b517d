/* Sends messages to itself through a broker, with the Eclipse Paho C library, and checks what comes back.
 *
 *     paho_c_client URI VERSION QOS COUNT TOPIC     VERSION: 3, 4 or 5
 *
 * Prints each payload on a line. 0: everything came, in order, with its topic and QoS. */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(int isTrue, const char *what) {
    if (isTrue) return;
    fprintf(stderr, "failed: %s\n", what);
    exit(1);
}

static MQTTClient connectClient(const char *uri, const char *id, int version) {
    MQTTClient client;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    create.MQTTVersion = version;
    require(MQTTClient_createWithOptions(&client, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) == 0, "create");
    if (version == MQTTVERSION_5) {
        MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer5;
        options.MQTTVersion = version;
        options.cleanstart = 1;
        options.keepAliveInterval = 20;
        MQTTResponse answer = MQTTClient_connect5(client, &options, NULL, NULL);
        require(answer.reasonCode == MQTTREASONCODE_SUCCESS, "connect");
        MQTTResponse_free(answer);
    } else {
        MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
        options.MQTTVersion = version;
        options.cleansession = 1;
        options.keepAliveInterval = 20;
        require(MQTTClient_connect(client, &options) == 0, "connect");
    }
    return client;
}

static void subscribe(MQTTClient client, int version, const char *topic, int qos) {
    if (version == MQTTVERSION_5) {
        MQTTResponse answer = MQTTClient_subscribe5(client, topic, qos, NULL, NULL);
        require((int)answer.reasonCode == qos, "subscribe");
        MQTTResponse_free(answer);
    } else {
        require(MQTTClient_subscribe(client, topic, qos) == 0, "subscribe");
    }
}

static void publish(MQTTClient client, int version, const char *topic, char *text, int qos) {
    MQTTClient_deliveryToken token;
    MQTTClient_message message = MQTTClient_message_initializer;
    message.payload = text;
    message.payloadlen = (int)strlen(text);
    message.qos = qos;
    if (version == MQTTVERSION_5) {
        MQTTProperty property;
        property.identifier = MQTTPROPERTY_CODE_USER_PROPERTY;
        property.value.data.data = "sender";
        property.value.data.len = 6;
        property.value.value.data = "paho-c";
        property.value.value.len = 6;
        MQTTProperties_add(&message.properties, &property);
        MQTTResponse answer = MQTTClient_publishMessage5(client, topic, &message, &token);
        require(answer.reasonCode == MQTTREASONCODE_SUCCESS, "publish");
        MQTTResponse_free(answer);
        MQTTProperties_free(&message.properties);
    } else {
        require(MQTTClient_publishMessage(client, topic, &message, &token) == 0, "publish");
    }
    if (qos > 0) require(MQTTClient_waitForCompletion(client, token, 10000) == 0, "acknowledgement");
}

static void receive(MQTTClient client, int version, const char *topic, const char *expected, int qos) {
    char *name = NULL;
    int nameCount = 0;
    MQTTClient_message *message = NULL;
    require(MQTTClient_receive(client, &name, &nameCount, &message, 10000) == 0 && message != NULL, "receive");
    require(strcmp(name, topic) == 0, "topic");
    require(message->qos == qos, "QoS");
    require(message->payloadlen == (int)strlen(expected)
                && memcmp(message->payload, expected, strlen(expected)) == 0, "payload");
    if (version == MQTTVERSION_5) {
        require(MQTTProperties_hasProperty(&message->properties, MQTTPROPERTY_CODE_USER_PROPERTY), "user property");
    }
    printf("%.*s\n", message->payloadlen, (char *)message->payload);
    MQTTClient_freeMessage(&message);
    MQTTClient_free(name);
}

int main(int count, char **arguments) {
    require(count == 6, "usage: paho_c_client URI VERSION QOS COUNT TOPIC");
    const char *uri = arguments[1], *topic = arguments[5];
    int version = atoi(arguments[2]), qos = atoi(arguments[3]), messages = atoi(arguments[4]);
    char id[64], text[64];
    snprintf(id, sizeof id, "paho-c-%d-%d", version, qos);
    MQTTClient client = connectClient(uri, id, version);
    subscribe(client, version, topic, qos);
    for (int number = 0; number < messages; number++) {
        snprintf(text, sizeof text, "message %d", number);
        publish(client, version, topic, text, qos);
    }
    for (int number = 0; number < messages; number++) {
        snprintf(text, sizeof text, "message %d", number);
        receive(client, version, topic, text, qos);
    }
    if (version == MQTTVERSION_5) {
        require(MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL) == 0, "disconnect");
    } else {
        require(MQTTClient_disconnect(client, 1000) == 0, "disconnect");
    }
    MQTTClient_destroy(&client);
    return 0;
}
